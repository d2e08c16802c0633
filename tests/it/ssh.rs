//! OpenSSH's own client and server, joined by `ssmx proxy`.

use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use sha2::{Digest as _, Sha256};

use crate::env::TestEnv;
use crate::forward::running::Running;
use crate::tools::tool;

const NODE: &str = "i-0a1b2c3d4e5f60001";

/// A home with keys, and a real sshd that serves each connection to a port of its own.
struct Far {
    env: TestEnv,
    port: u16,
}

impl Far {
    fn start() -> Option<Self> {
        let (keygen, _) = (tool("ssh-keygen")?, tool("scp")?);
        let sshd = Path::new("/usr/sbin/sshd");
        if !sshd.exists() {
            tool("sshd")?;
        }
        let env = TestEnv::new();
        let home = env.home();
        for key in ["host", "user"] {
            let made = Command::new(&keygen)
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(home.join(key))
                .status();
            assert!(made.unwrap().success());
        }
        // Where it runs as root it wants this directory.
        let _ = fs::create_dir_all("/run/sshd");
        let settings = home.join("sshd_config");
        let below = |name: &str| home.join(name).display().to_string();
        let text = format!(
            "HostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPidFile none\n\
             Subsystem sftp internal-sftp\n",
            below("host"),
            below("user.pub")
        );
        fs::write(&settings, text).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let reads = OwnedFd::from(stream.try_clone().unwrap());
                let mut served = Command::new(sshd)
                    .args(["-i", "-f"])
                    .arg(&settings)
                    .stdin(Stdio::from(reads))
                    .stdout(Stdio::from(OwnedFd::from(stream)))
                    .stderr(Stdio::null())
                    .spawn()
                    .unwrap();
                thread::spawn(move || served.wait());
            }
        });
        Some(Self { env, port })
    }

    /// `ssh` or `scp`, on its way through ssmx. `port` is how the program names that option.
    fn client(&self, program: &str, port: &str) -> Command {
        let mut command = self.env.other(program);
        let proxy = format!("ProxyCommand={} proxy %h %p", env!("CARGO_BIN_EXE_ssmx"));
        command
            .args(["-F", "none", port, &self.port.to_string(), "-i", "user"])
            .args(["-o", &proxy, "-o", "BatchMode=yes"])
            .args([
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "UserKnownHostsFile=/dev/null",
            ])
            .args(["-o", "LogLevel=ERROR"])
            .stdin(Stdio::null());
        command
    }

    /// `USER@NODE`; sshd lets in whom it runs as.
    fn there(&self) -> String {
        let name = Command::new("id").arg("-un").output().unwrap().stdout;
        format!("{}@{NODE}", String::from_utf8(name).unwrap().trim())
    }
}

fn sum(file: &Path) -> Vec<u8> {
    Sha256::digest(fs::read(file).unwrap()).to_vec()
}

#[test]
fn openssh_logs_in_and_copies_64_mib_each_way() {
    let Some(far) = Far::start() else { return };
    let output = far
        .client("ssh", "-p")
        .args([&far.there(), "echo out; echo err >&2; exit 7"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert_eq!(
        (&output.stdout[..], &output.stderr[..]),
        (&b"out\n"[..], &b"err\n"[..])
    );

    let home = far.env.home();
    let sent = home.join("sent");
    // Every byte, and no pattern that a lost block would leave intact.
    let block: Vec<u8> = (0..64_u32 << 18)
        .flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes())
        .collect();
    fs::write(&sent, &block).unwrap();
    let copy = |from: &str, to: &str| {
        let output = far.client("scp", "-P").args([from, to]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    let path = |name: &str| home.join(name).display().to_string();
    copy("sent", &format!("{}:{}", far.there(), path("arrived")));
    copy(&format!("{}:{}", far.there(), path("arrived")), "back");
    assert_eq!(fs::metadata(home.join("back")).unwrap().len(), 64 << 20);
    assert_eq!(sum(&home.join("arrived")), sum(&sent));
    assert_eq!(sum(&home.join("back")), sum(&sent));
    assert_eq!(
        far.env.run(&["sessions", "-o", "name"]).ok(),
        "",
        "nothing is left open"
    );
}

#[test]
fn openssh_goes_through_a_forward() {
    let Some(far) = Far::start() else { return };
    let forward = Running::start(&far.env, &[NODE, &format!(":{}", far.port)]);
    let mut ssh = far.env.other("ssh");
    ssh.args(["-F", "none", "-p", &forward.port.to_string(), "-i", "user"])
        .args([
            "-o",
            "BatchMode=yes",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "LogLevel=ERROR",
        ]);
    let there = far.there().replace(NODE, "127.0.0.1");
    let output = ssh
        .args([&there, "cat; exit 7"])
        .stdin(fs::File::open(far.env.home().join("user.pub")).unwrap())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert_eq!(output.stdout, fs::read(far.env.home().join("user.pub")).unwrap());
}

//! Runs ssmx in a sandbox, or the sandbox alone.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use ssmx_sandbox::{Options, Sandbox, Scenario, launch};
use tokio::signal::unix::{SignalKind, signal};

/// AWS in a box on loopback.
///
/// `ssmx-sandbox connect prod-web` (or any other words of ssmx) starts a sandbox, runs ssmx in it and cleans up.
/// `ssmx-sandbox serve` starts one that stays, and prints what a client's environment needs.
#[derive(Debug, Parser)]
#[command(name = "ssmx-sandbox", arg_required_else_help = true)]
struct Args {
    /// What there is in it: `demo`, `hostile` or a file.
    #[arg(long, default_value = "demo")]
    scenario: String,
    /// So many more nodes, named node-000000 and on.
    #[arg(long, default_value_t = 0)]
    nodes: usize,
    /// `serve`, or what ssmx is to be run with.
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required = true,
        value_name = "WORD"
    )]
    words: Vec<OsString>,
}

/// Starts a sandbox that stays until it is interrupted, and prints `export` lines.
#[derive(Debug, Parser)]
#[command(name = "ssmx-sandbox serve")]
struct Serve {
    /// What there is in it: `demo`, `hostile` or a file.
    #[arg(long)]
    scenario: Option<String>,
    /// So many more nodes, named node-000000 and on.
    #[arg(long)]
    nodes: Option<usize>,
    /// The port; a free one where it is left out.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Print what leads to the TLS door.
    #[arg(long, conflicts_with = "proxy")]
    tls: bool,
    /// Let data channels be opened without a signature, as plugins before 1.2.764 do.
    #[arg(long)]
    unsigned: bool,
    /// Print what leads to AWS's own hosts through the sandbox's proxy.
    #[arg(long)]
    proxy: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // Nobody is left to hear of a closed stderr.
            let _ = writeln!(std::io::stderr(), "ssmx-sandbox: {error:#}");
            ExitCode::from(255)
        }
    }
}

async fn run() -> anyhow::Result<u8> {
    let args = Args::parse();
    let is_serve = args.words.first().is_some_and(|word| word == "serve");
    if !is_serve {
        return launch::run(scenario(&args.scenario, args.nodes)?, &args.words).await;
    }
    let serve = Serve::parse_from(&args.words);
    let name = serve.scenario.as_deref().unwrap_or(&args.scenario);
    let mut scenario = scenario(name, serve.nodes.unwrap_or(args.nodes))?;
    scenario.unsigned_upgrades |= serve.unsigned;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let options = Options { port: serve.port };
    let sandbox = tokio::task::spawn_blocking(move || Sandbox::start_blocking(scenario, &options)).await??;
    let env = match (serve.tls, serve.proxy) {
        (true, _) => sandbox.tls_env(),
        (_, true) => sandbox.proxy_env(),
        _ => sandbox.env(),
    };
    let mut lines = String::new();
    for (name, value) in env {
        lines.push_str(&format!("export {name}='{value}'\n"));
    }
    {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(lines.as_bytes())?;
        stdout.flush()?;
    }
    tokio::select! {
        ended = tokio::signal::ctrl_c() => ended?,
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    tokio::task::spawn_blocking(move || drop(sandbox)).await?;
    Ok(0)
}

fn scenario(name: &str, nodes: usize) -> anyhow::Result<Scenario> {
    let scenario = Scenario::named(name)?;
    Ok(match nodes {
        0 => scenario,
        count => scenario.with_generated(count),
    })
}

//! ssmx as the AWS CLI's `session-manager-plugin`: called by that name, it serves the AWS CLI and whatever else
//! starts the plugin.
//!
//! Arguments, environment, lines on stdout and exit statuses are the plugin's. What differs on purpose: the
//! terminal is raw, so that every key reaches the remote, and put back on every way out; a stdin that ends does
//! not cut the output; sessions outlive cuts for as long as they can be resumed; talk about that goes to stderr;
//! and where the plugin would crash or hang, there is a line and an exit status that is not 0.

mod call;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::aws::session::Opening;
use crate::aws::{Aws, ProfileChoice, Settings, dialer_by_environment, env};
use crate::config::Places;
use crate::ids::{Local, SessionId};
use crate::transport::TransportError;
use crate::transport::adopt::{Adopter, PLUGIN_VERSION};
use crate::transport::plan::{End, Notice, Notices, Outcome, Screen, Turns};
use crate::ui::text::{escape, escape_lines};
use crate::ui::{self, Color, Ui};
use call::{Call, Start};

/// The name by which ssmx is the plugin.
pub const NAME: &str = "session-manager-plugin";
/// Set to `true`, credentials are not looked for.
const SKIP_CREDENTIALS: &str = "SSM_PLUGIN_SKIP_CLIENT_CONFIGURE";

/// Where the plugin would have crashed.
const CRASHED: u8 = 2;
/// Where it would have hung.
const HUNG: u8 = 1;

/// Serves one call; `words` are those behind the program's name.
pub fn run(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let ui = Ui::new(Color::Auto);
    let words = words.into_iter().map(|word| word.to_string_lossy().into_owned());
    let start = match call::read(words.collect(), env::take) {
        Ok(Call::Say(text)) => {
            // Nobody may be left to read it.
            drop(ui.data(&text));
            return ExitCode::SUCCESS;
        }
        Ok(Call::Start(start)) => start,
        Err(error) => {
            drop(ui.data(&format!(
                "Cannot perform start session: {}\n",
                escape(&error.words)
            )));
            return ExitCode::from(if error.crashes { CRASHED } else { 0 });
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(serve(&ui, *start)),
        Err(error) => {
            drop(ui.data(&format!("Cannot perform start session: {error}\n")));
            ExitCode::from(HUNG)
        }
    }
}

async fn serve(ui: &Ui, start: Start) -> ExitCode {
    let session = start.opening.session.clone();
    drop(ui.data(&format!("\nStarting session with SessionId: {session}\n")));
    let talk = PluginTalk {
        ui,
        session: session.clone(),
        raw: AtomicBool::new(false),
    };
    match carry(start, &talk).await {
        Ok(Outcome { end, .. }) => farewell(ui, &session, &end),
        Err(TransportError::Terminal(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            drop(ui.data(&format!(
                "Cannot perform start session: {}\n",
                escape_lines(&error.to_string())
            )));
            // What the agent cancels, the plugin leaves with 0; and an older AWS CLI prints the token where it
            // does not.
            match error {
                TransportError::Refused(_) => ExitCode::SUCCESS,
                _ => ExitCode::from(HUNG),
            }
        }
    }
}

async fn carry(start: Start, talk: &PluginTalk<'_>) -> Result<Outcome, TransportError> {
    let aws = reach(&start).await;
    let dialer = aws
        .as_ref()
        .map_or_else(dialer_by_environment, |aws| aws.dialer());
    let adopter = Adopter {
        aws,
        dialer,
        region: start.region,
        target: start.target,
        stream_endpoints: Vec::new(),
    };
    adopter.run(start.opening, talk).await
}

/// AWS by what the caller said; `None` where that cannot be had. The session is carried all the same.
async fn reach(start: &Start) -> Option<Arc<Aws>> {
    let settings = Settings {
        profile: start.profile.clone().map(ProfileChoice::Explicit),
        region: Some(start.region.clone()),
        ssm_endpoint_url: start.endpoint.clone(),
        command: "plugin".to_owned(),
        cache: Places::of_this_user().cache,
        ..Settings::default()
    };
    if env::lookup(SKIP_CREDENTIALS).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return None;
    }
    match Aws::load(settings).await {
        Ok(aws) => Some(Arc::new(aws)),
        Err(error) => {
            tracing::warn!(%error, "AWS cannot be reached");
            None
        }
    }
}

/// The plugin's last words.
fn farewell(ui: &Ui, session: &SessionId, end: &End) -> ExitCode {
    let words = match end {
        End::Remote(output) | End::Torn(output) if !output.is_empty() => {
            format!("\n\nSessionId: {session} : {}\n\n", escape_lines(output))
        }
        End::TimedOut => format!("Session: {session} timed out.\n"),
        End::InputEnded => String::new(),
        End::Remote(_)
        | End::Torn(_)
        | End::Escape
        | End::Signal(_)
        | End::GateRefused(_)
        | End::OutOfTime
        | End::Abandoned => format!("\n\nExiting session with sessionId: {session}.\n\n"),
    };
    drop(ui.data(&words));
    if let End::Signal(number) = end {
        drop(signal_hook::low_level::emulate_default_handler(*number));
    }
    ExitCode::SUCCESS
}

/// The agent's words go where the plugin puts them, ours to stderr.
struct PluginTalk<'a> {
    ui: &'a Ui,
    session: SessionId,
    raw: AtomicBool,
}

impl PluginTalk<'_> {
    /// Text on stdout, its lines ended as the terminal needs it.
    fn show(&self, text: &str) {
        let text = if self.raw.load(Ordering::Relaxed) {
            text.replace('\n', "\r\n")
        } else {
            text.to_owned()
        };
        drop(self.ui.data(&text));
    }
}

impl Notices for PluginTalk<'_> {
    fn notice(&self, notice: Notice) {
        let ui = self.ui;
        match notice {
            Notice::CustomerMessage(words) => self.show(&format!("{}\n", escape_lines(&words))),
            Notice::EscapeHelp => self.show(HELP),
            Notice::Listening(local, turns) => self.show(&opened(&self.session, &local, turns)),
            Notice::Accepted(Turns::Together) => {
                self.show(&format!("\nConnection accepted for session [{}]\n", self.session));
            }
            Notice::Accepted(Turns::OneByOne) => {
                self.show(&format!("Connection accepted for session {}.\n", self.session));
            }
            Notice::FarPort => self.show(UNREACHABLE),
            Notice::Terminating => self.show("Terminate signal received, exiting.\n"),
            Notice::Entering(Screen::Raw) => {
                self.raw.store(true, Ordering::Relaxed);
                ui.set_screen(ui::Screen::Raw);
            }
            Notice::Left => {
                self.raw.store(false, Ordering::Relaxed);
                ui.set_screen(ui::Screen::Cooked);
            }
            Notice::Reconnecting(cause) => {
                tracing::info!(cause, "data channel cut");
                ui.say("reconnecting…");
            }
            Notice::StillAway(why) => ui.say(&format!("still reconnecting: {}", escape(&why))),
            Notice::Back(away) => ui.say(&format!("back after {} s", away.as_secs())),
            Notice::NotEnded(session, why) => {
                ui.warn(&format!("session {session} could not be ended: {}", escape(&why)));
            }
            _ => {}
        }
    }
}

/// The words about the local end, by which programs learn its port.
fn opened(session: &SessionId, local: &Local, turns: Turns) -> String {
    let end = match local {
        Local::Port { port, .. } => format!("Port {port}"),
        Local::Socket(path) => format!("Unix socket {}", escape(&path.display().to_string())),
    };
    let more = match turns {
        Turns::Together => "\nWaiting for connections...\n",
        Turns::OneByOne => "\n",
    };
    format!("{end} opened for sessionId {session}.{more}")
}

const UNREACHABLE: &str = "\nConnection to destination port failed, check SSM Agent logs.\n";

const HELP: &str = "\nSupported escape sequences:\n ~.  terminate session\n ~?  this message\n ~~  send the escape \
                    character by typing it twice\n(Escapes are only recognized immediately after a newline.)\n";

/// The session of a call.
pub(super) type Started = Opening;

//! What happens on the way of a session, in words.

use crate::transport::plan::{Notice, Notices, Screen};
use crate::ui::text::{escape, escape_lines};
use crate::ui::{self, Ui};

/// Says what a session meets, about the target that the person named.
pub struct Talk<'a> {
    ui: &'a Ui,
    target: String,
}

impl<'a> Talk<'a> {
    /// `target` is the person's word for it, escaped here.
    pub fn new(ui: &'a Ui, target: &str) -> Self {
        Self {
            ui,
            target: escape(target).into_owned(),
        }
    }
}

impl Notices for Talk<'_> {
    fn notice(&self, notice: Notice) {
        let ui = self.ui;
        match notice {
            Notice::Interrupted => {
                ui.say("interrupted; ending the session that AWS was asked for (Ctrl-C again: do not wait)");
            }
            Notice::Started(session) => tracing::info!(%session, "session started"),
            Notice::Entering(Screen::Raw) => {
                if let Some(file) = ui::log::aside() {
                    ui.say(&format!(
                        "while the shell has the screen, the log goes to `{}`",
                        escape(&file.display().to_string())
                    ));
                }
                ui.set_screen(ui::Screen::Raw);
            }
            Notice::Entering(Screen::AsItIs) => {}
            Notice::Left => ui.set_screen(ui::Screen::Cooked),
            Notice::Waiting => ui.say(&format!("still waiting for the agent on {}…", self.target)),
            Notice::Reconnecting(cause) => {
                tracing::info!(cause, "data channel cut");
                ui.say("reconnecting…");
            }
            Notice::NotRecorded(why) => ui.warn(&format!("the recording broke off: {}", escape(&why))),
            Notice::StillAway(why) => ui.say(&format!("still reconnecting: {}", escape(&why))),
            Notice::Interrupting => {
                ui.say("interrupting the remote command (Ctrl-C again: end the session)");
            }
            Notice::Back(away) if away.as_secs() == 0 => ui.say("back at once"),
            Notice::Back(away) => ui.say(&format!("back after {} s", away.as_secs())),
            Notice::CustomerMessage(words) => ui.say(&escape_lines(words.trim_end())),
            Notice::EscapeHelp => ui.say(
                "after a new line:\n  ~.  end the session\n  ~?  this help\n  ~~  one ~\n(--escape-char chooses another character, or none)",
            ),
            Notice::FellBack {
                ended,
                started,
                cause,
            } => ui.warn(&format!(
                "the agent spoke what ssmx does not understand ({}); ended session {ended} and went on by the plugin \
                 with session {started}",
                escape(&cause)
            )),
            // Of sessions that somebody else has started, which do not come here.
            Notice::Listening(..) | Notice::Accepted(_) | Notice::FarPort | Notice::Terminating => {}
            Notice::NotEnded(session, why) => {
                ui.warn(&format!("session {session} could not be ended: {}", escape(&why)));
                ui.hint(&format!("end it with `ssmx sessions end {session}`"));
            }
        }
    }
}

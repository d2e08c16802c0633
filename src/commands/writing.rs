//! Every session that ssmx starts is written down on this machine: who, why, where.

use std::sync::{Arc, OnceLock};

use jiff::Timestamp;

use super::context::Context;
use crate::aws::env;
use crate::aws::session::{Started, Starts};
use crate::ledger::{Entry, Ledger};
use crate::ui::Ui;
use crate::ui::text::escape;

impl Context {
    /// The log of sessions; `None` where there is no home directory.
    pub fn ledger(&self) -> Option<&Arc<Ledger>> {
        self.ledger_cell()
            .get_or_init(|| {
                let state = self.places().state.as_deref()?;
                Some(Arc::new(Ledger::new(&state.join("sessions"))))
            })
            .as_ref()
    }

    /// Who writes sessions down.
    pub(super) fn writing_down(&self) -> Option<Arc<dyn Starts>> {
        let ledger = Arc::clone(self.ledger()?);
        Some(Arc::new(Writing {
            ledger,
            command: self.command(),
            ui: self.ui().clone(),
            told: OnceLock::new(),
        }))
    }
}

#[derive(Debug)]
struct Writing {
    ledger: Arc<Ledger>,
    command: &'static str,
    ui: Ui,
    told: OnceLock<()>,
}

impl Starts for Writing {
    fn started(&self, started: &Started<'_>) {
        let request = started.request;
        let entry = Entry {
            at: Timestamp::now(),
            session: started.session.clone(),
            command: self.command.to_owned(),
            target: request.target.clone(),
            account: started.account.cloned(),
            region: started.region.clone(),
            profile: started.profile.map(str::to_owned),
            user: env::user(),
            reason: request.reason.clone(),
            document: request.document.clone(),
        };
        // A full disk keeps nobody from a machine; it is said, once.
        if let Err(error) = self.ledger.add(entry)
            && self.told.set(()).is_ok()
        {
            let path = self.ledger.path().display().to_string();
            self.ui.warn(&format!(
                "the session is not written down in `{}`: {error}",
                escape(&path)
            ));
        }
    }
}

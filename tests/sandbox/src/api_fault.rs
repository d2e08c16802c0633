//! What goes wrong with API calls on purpose: denial, throttling, slowness, an endpoint that breaks.
//! (What goes wrong within a session is the agent's: `fault`.)

use std::sync::Mutex;
use std::time::Duration;

use jiff::SignedDuration;
use serde::Deserialize;

/// One thing that goes wrong.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiFault {
    /// The calls it concerns: `ssm:StartSession`, `ec2:*`, `*`.
    pub operation: String,
    /// Only calls of this account (its id).
    pub account: Option<String>,
    /// Only calls to this region.
    pub region: Option<String>,
    /// Only calls whose parameters contain this text.
    pub containing: Option<String>,
    /// What happens; nothing but the delay where it is left out.
    pub effect: Option<Effect>,
    /// How long the answer takes longer.
    pub delay: Option<SignedDuration>,
    /// How often, before the fault is over; always where it is left out.
    pub times: Option<u32>,
    /// So many calls pass first.
    #[serde(default)]
    pub after: u32,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// The caller may not.
    Deny,
    /// Too many calls.
    Throttle,
    /// HTTP 503.
    Unavailable,
    /// HTTP 500.
    Internal,
    /// The credentials have expired.
    Expired,
    /// No answer, ever.
    Hang,
    /// The connection is closed without an answer.
    Cut,
    /// An answer in a form that is not AWS's.
    Garbage,
}

impl ApiFault {
    /// `effect` for every call of `operation`.
    pub fn new(operation: &str, effect: Effect) -> Self {
        Self {
            operation: operation.to_owned(),
            account: None,
            region: None,
            containing: None,
            effect: Some(effect),
            delay: None,
            times: None,
            after: 0,
        }
    }

    /// Nothing but slowness, for every call of `operation`.
    pub fn delay(operation: &str, delay: Duration) -> Self {
        Self {
            effect: None,
            delay: SignedDuration::try_from(delay).ok(),
            ..Self::new(operation, Effect::Deny)
        }
    }

    /// The same, `times` times only.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self {
            times: Some(times),
            ..self
        }
    }

    /// The same, for one account only.
    #[must_use]
    pub fn account(self, account: &str) -> Self {
        Self {
            account: Some(account.to_owned()),
            ..self
        }
    }

    fn concerns(&self, call: &Subject<'_>) -> bool {
        let operation = match self.operation.strip_suffix('*') {
            Some(prefix) => call.operation.starts_with(prefix),
            None => call.operation == self.operation,
        };
        let is =
            |wanted: &Option<String>, actual: &str| wanted.as_deref().is_none_or(|wanted| wanted == actual);
        operation
            && is(&self.account, call.account)
            && is(&self.region, call.region)
            && self
                .containing
                .as_deref()
                .is_none_or(|text| call.parameters.contains(text))
    }
}

/// The call that may go wrong.
pub(crate) struct Subject<'a> {
    pub(crate) operation: &'a str,
    pub(crate) account: &'a str,
    pub(crate) region: &'a str,
    /// As JSON.
    pub(crate) parameters: &'a str,
}

/// The faults at hand, changeable while the sandbox runs.
#[derive(Debug, Default)]
pub struct ApiFaults {
    list: Mutex<Vec<ApiFault>>,
}

impl ApiFaults {
    pub(crate) fn new(list: Vec<ApiFault>) -> Self {
        Self {
            list: Mutex::new(list),
        }
    }

    /// One more.
    pub fn add(&self, fault: ApiFault) {
        self.locked().push(fault);
    }

    /// None any more.
    pub fn clear(&self) {
        self.locked().clear();
    }

    /// What happens to this call: how long it takes longer, and how it fails. Delays add up; the first effect
    /// counts.
    pub(crate) fn strike(&self, call: &Subject<'_>) -> (Duration, Option<Effect>) {
        let mut delay = Duration::ZERO;
        let mut effect = None;
        for fault in self.locked().iter_mut().filter(|fault| fault.concerns(call)) {
            if effect.is_some() && fault.effect.is_some() {
                continue;
            }
            if fault.after > 0 {
                fault.after -= 1;
                continue;
            }
            match &mut fault.times {
                Some(0) => continue,
                Some(left) => *left -= 1,
                None => {}
            }
            delay += fault
                .delay
                .and_then(|delay| Duration::try_from(delay).ok())
                .unwrap_or_default();
            effect = effect.or(fault.effect);
        }
        (delay, effect)
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Vec<ApiFault>> {
        self.list
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(operation: &str) -> Subject<'_> {
        Subject {
            operation,
            account: "111122223333",
            region: "eu-west-2",
            parameters: r#"{"Target":"i-01234567"}"#,
        }
    }

    #[test]
    fn a_fault_is_over_after_its_times() {
        let faults = ApiFaults::new(vec![ApiFault::new("ec2:*", Effect::Throttle).times(2)]);
        let struck = |_| faults.strike(&call("ec2:DescribeInstances")).1;
        assert_eq!(faults.strike(&call("ssm:StartSession")).1, None);
        let effects: Vec<_> = (0..3).map(struck).collect();
        assert_eq!(effects, [Some(Effect::Throttle), Some(Effect::Throttle), None]);
    }

    #[test]
    fn delays_add_up_and_the_first_effect_counts() {
        let faults = ApiFaults::new(vec![
            ApiFault::delay("*", Duration::from_millis(5)),
            ApiFault::new("ssm:StartSession", Effect::Deny),
            ApiFault::new("*", Effect::Cut),
            ApiFault::delay("ssm:*", Duration::from_millis(2)),
        ]);
        let (delay, effect) = faults.strike(&call("ssm:StartSession"));
        assert_eq!((delay, effect), (Duration::from_millis(7), Some(Effect::Deny)));
    }

    #[test]
    fn accounts_regions_and_parameters_narrow() {
        let mut fault = ApiFault::new("*", Effect::Deny).account("444455556666");
        assert!(!fault.concerns(&call("x:Y")));
        fault.account = None;
        fault.containing = Some("i-01234567".to_owned());
        assert!(fault.concerns(&call("x:Y")));
        fault.region = Some("us-east-1".to_owned());
        assert!(!fault.concerns(&call("x:Y")));
    }
}

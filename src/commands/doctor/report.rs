//! What doctor found, and how it is told.

use serde_json::{Value, json};

use crate::aws::error::{ErrorKind, ServiceError};
use crate::ids::Region;
use crate::ui::text::{escape, escape_lines};

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Pass,
    /// This is wrong.
    Fail,
    /// Probably wrong: a simulation, or something that we see only in part.
    Likely,
    /// We could not look.
    Unknown,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Likely => "likely",
            Self::Unknown => "unknown",
        }
    }
}

/// Whether a failure explains others or is explained by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// It explains the rest.
    Cause,
    /// Something else lies behind it, if that can be seen.
    Symptom,
}

/// One check and what it came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// What it came to.
    pub verdict: Verdict,
    /// What was seen. Untrusted.
    pub evidence: String,
    /// What to do, a line each, to be pasted where it is a command.
    pub fix: Vec<String>,
    /// The IAM action without which we could not look.
    pub lacks: Option<String>,
    /// Whether it explains others.
    pub weight: Weight,
}

impl Finding {
    fn new(check: &'static str, verdict: Verdict, evidence: impl Into<String>) -> Self {
        Self {
            check,
            verdict,
            evidence: evidence.into(),
            fix: Vec::new(),
            lacks: None,
            weight: Weight::Cause,
        }
    }

    /// As it should be.
    pub fn pass(check: &'static str, evidence: impl Into<String>) -> Self {
        Self::new(check, Verdict::Pass, evidence)
    }

    /// Wrong for certain.
    pub fn fail(check: &'static str, evidence: impl Into<String>) -> Self {
        Self::new(check, Verdict::Fail, evidence)
    }

    /// Probably wrong.
    pub fn likely(check: &'static str, evidence: impl Into<String>) -> Self {
        Self::new(check, Verdict::Likely, evidence)
    }

    /// Not looked at, for lack of something that is no permission.
    pub fn unseen(check: &'static str, evidence: impl Into<String>) -> Self {
        Self::new(check, Verdict::Unknown, evidence)
    }

    /// A look that AWS did not grant, or that failed: never a pass.
    pub fn unknown(check: &'static str, error: &ServiceError) -> Self {
        match &error.kind {
            ErrorKind::AccessDenied { action } => {
                let mut finding =
                    Self::new(check, Verdict::Unknown, format!("not allowed to look ({action})"));
                finding.lacks = Some(action.clone());
                finding
            }
            _ => Self::new(check, Verdict::Unknown, format!("could not look: {error}")),
        }
    }

    /// Adds a thing to do.
    #[must_use]
    pub fn fix(mut self, line: impl Into<String>) -> Self {
        self.fix.push(line.into());
        self
    }

    /// Something else lies behind it.
    #[must_use]
    pub fn symptom(mut self) -> Self {
        self.weight = Weight::Symptom;
        self
    }

    fn document(&self) -> Value {
        json!({
            "check": self.check,
            "verdict": self.verdict.word(),
            "evidence": self.evidence,
            "fix": self.fix,
            "lacks": self.lacks,
        })
    }
}

/// All findings in the order of the checks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The findings.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Commands that are to be pasted name the scope: without, they would act wherever the person's defaults lead.
    #[must_use]
    pub fn in_scope(mut self, profile: Option<&str>, region: &Region) -> Self {
        let lines = self.findings.iter_mut().flat_map(|finding| &mut finding.fix);
        lines.for_each(|line| *line = scoped(line, profile, region));
        self
    }

    /// The first certain cause; else what is likely; else a symptom nobody explains.
    pub fn cause(&self) -> Option<&Finding> {
        let first = |verdict: Verdict, weight: Weight| {
            let mut findings = self.findings.iter();
            findings.find(move |finding| finding.verdict == verdict && finding.weight == weight)
        };
        first(Verdict::Fail, Weight::Cause)
            .or_else(|| first(Verdict::Likely, Weight::Cause))
            .or_else(|| first(Verdict::Fail, Weight::Symptom))
            .or_else(|| first(Verdict::Likely, Weight::Symptom))
    }

    /// Whether something is wrong for certain.
    pub fn has_failed(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.verdict == Verdict::Fail)
    }

    /// For scripts.
    pub fn document(&self, target: Option<&str>) -> Value {
        let checks: Vec<Value> = self.findings.iter().map(Finding::document).collect();
        json!({
            "target": target,
            "cause": self.cause().map(Finding::document),
            "checks": checks,
        })
    }

    /// For people. Where the cause is certain nothing is said of what comes after it, unless `all`.
    pub fn text(&self, all: Extent) -> String {
        let width = self
            .findings
            .iter()
            .map(|finding| finding.check.len())
            .max()
            .unwrap_or(0);
        let certain = self
            .findings
            .iter()
            .position(|finding| finding.verdict == Verdict::Fail && finding.weight == Weight::Cause);
        let shown = match (all, certain) {
            (Extent::UpToCause, Some(index)) => index + 1,
            _ => self.findings.len(),
        };
        let mut text = String::new();
        for finding in self.findings.iter().take(shown) {
            let evidence = escape_lines(&finding.evidence).replace('\n', "\n           ");
            text.push_str(&format!(
                "{:<8} {:<width$}  {evidence}\n",
                finding.verdict.word(),
                finding.check
            ));
            let how = match finding.verdict {
                Verdict::Fail | Verdict::Likely => "fix",
                Verdict::Pass | Verdict::Unknown => "try",
            };
            for line in &finding.fix {
                text.push_str(&format!("         {how}: {}\n", escape(line)));
            }
        }
        if let Some(cause) = self.cause() {
            let how = match cause.verdict {
                Verdict::Fail => "cause",
                _ => "likely cause",
            };
            text.push_str(&format!(
                "\n{how}: {}: {}\n",
                cause.check,
                escape(&cause.evidence)
            ));
        }
        let left = self.findings.len() - shown;
        if left > 0 {
            text.push_str(&format!("{left} more checks are not shown; --all shows them\n"));
        }
        text
    }
}

fn scoped(line: &str, profile: Option<&str>, region: &Region) -> String {
    let profile = profile.and_then(|profile| shlex::try_quote(profile).ok());
    if let (LOGIN, Some(profile)) = (line, &profile) {
        return format!("{LOGIN} {profile}");
    }
    let is_command = line.starts_with("aws ") || line.contains(": aws ") || line.starts_with("ssmx exec ");
    if !is_command {
        return line.to_owned();
    }
    let profile = profile.map(|profile| format!(" --profile {profile}"));
    let scope = format!("{} --region {region}", profile.unwrap_or_default());
    // What follows ssmx's own `--` or `--shell` is the remote's.
    match line.strip_prefix("ssmx exec ") {
        Some(rest) => format!("ssmx exec{scope} {rest}"),
        None => format!("{line}{scope}"),
    }
}

/// The way to log in, as checks have it.
pub const LOGIN: &str = "ssmx login";

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Up to the first certain cause.
    UpToCause,
    /// Everything.
    All,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_counts_before_its_symptoms() {
        let mut report = Report {
            findings: vec![
                Finding::pass("instance", "running"),
                Finding::fail("registered", "SSM never heard of it").symptom(),
                Finding::likely("role", "simulated: denied"),
            ],
        };
        assert_eq!(report.cause().unwrap().check, "role");
        report
            .findings
            .push(Finding::fail("way out", "no route").fix("make one"));
        report.findings.push(Finding::pass("document", "Session"));
        assert_eq!(report.cause().unwrap().check, "way out");
        assert_eq!(
            report.text(Extent::UpToCause),
            "pass     instance    running\n\
             fail     registered  SSM never heard of it\n\
             likely   role        simulated: denied\n\
             fail     way out     no route\n         fix: make one\n\
             \ncause: way out: no route\n1 more checks are not shown; --all shows them\n"
        );
        assert!(report.text(Extent::All).contains("pass     document"));
    }

    #[test]
    fn what_is_pasted_acts_in_the_scope_that_was_looked_at() {
        let region: Region = "eu-west-2".parse().unwrap();
        for (line, whole) in [
            (
                "aws ec2 start-instances --instance-ids i-1",
                "aws ec2 start-instances --instance-ids i-1 --profile 'a b' --region eu-west-2",
            ),
            ("or: aws x y", "or: aws x y --profile 'a b' --region eu-west-2"),
            (
                "ssmx exec i-1 --shell 'true'",
                "ssmx exec --profile 'a b' --region eu-west-2 i-1 --shell 'true'",
            ),
            ("ssmx login", "ssmx login 'a b'"),
            ("ssmx config check", "ssmx config check"),
            ("ask your administrator of aws", "ask your administrator of aws"),
        ] {
            assert_eq!(scoped(line, Some("a b"), &region), whole);
        }
        assert_eq!(scoped("aws x y", None, &region), "aws x y --region eu-west-2");
        assert_eq!(scoped("ssmx login", None, &region), "ssmx login");
    }

    #[test]
    fn what_we_may_not_see_is_never_a_pass() {
        let mut denied = ServiceError::local(
            ErrorKind::AccessDenied {
                action: "ec2:DescribeInstances".into(),
            },
            "no",
        );
        let finding = Finding::unknown("instance", &denied);
        assert_eq!(finding.verdict, Verdict::Unknown);
        assert_eq!(finding.lacks.as_deref(), Some("ec2:DescribeInstances"));
        denied.kind = ErrorKind::Throttled;
        assert_eq!(Finding::unknown("instance", &denied).verdict, Verdict::Unknown);
        assert_eq!(Report::default().cause(), None);
    }
}

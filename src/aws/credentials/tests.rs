//! The rules of profiles in tables, and the AWS CLI's cache by botocore's own keys.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;

use super::super::ProfileChoice;
use super::super::profiles::Profiles;
use super::cli_cache::{Kind, Slot, time};
use super::plan::{Base, Plan, Role, SsoLogin, SsoRole, Surroundings, WebIdentity};
use super::private_file;

const FILE: &str = "
[default]
region = eu-west-2

[profile static]
aws_access_key_id = AKIASTATIC
aws_secret_access_key = secret

[profile halfkey]
aws_access_key_id = AKIAHALF

[profile role]
role_arn = arn:aws:iam::222222222222:role/deploy
source_profile = static
mfa_serial = arn:aws:iam::111111111111:mfa/alice
duration_seconds = 3600
external_id = ext
role_session_name = alice

[profile second]
role_arn = arn:aws:iam::333333333333:role/second
source_profile = role
duration_seconds = soon

[profile self]
role_arn = arn:aws:iam::222222222222:role/self
source_profile = self
aws_access_key_id = AKIASELF
aws_secret_access_key = secret

[profile keysfirst]
role_arn = arn:aws:iam::222222222222:role/unused
source_profile = nowhere
aws_access_key_id = AKIAKEYS
aws_secret_access_key = secret

[profile onkeysfirst]
role_arn = arn:aws:iam::222222222222:role/on
source_profile = keysfirst

[profile machine]
role_arn = arn:aws:iam::222222222222:role/m
credential_source = Ec2InstanceMetadata

[profile odd]
role_arn = arn:aws:iam::222222222222:role/m
credential_source = Moon

[profile both]
role_arn = arn:aws:iam::222222222222:role/m
credential_source = Environment
source_profile = static

[profile neither]
role_arn = arn:aws:iam::222222222222:role/m

[profile lost]
role_arn = arn:aws:iam::222222222222:role/m
source_profile = statik

[profile empty]
role_arn = arn:aws:iam::222222222222:role/m
source_profile = default

[profile a]
role_arn = arn:aws:iam::222222222222:role/a
source_profile = b

[profile b]
role_arn = arn:aws:iam::222222222222:role/b
source_profile = a

[profile web]
role_arn = arn:aws:iam::444444444444:role/web
web_identity_token_file = /token

[profile webless]
web_identity_token_file = /token

[profile process]
credential_process = /bin/helper --flag

[profile console]
login_session = arn:aws:iam::555555555555:user/Admin

[sso-session corp]
sso_start_url = https://corp.awsapps.com/start
sso_region = eu-west-1
sso_registration_scopes = sso:account:access, other

[profile sso]
sso_session = corp
sso_account_id = 666666666666
sso_role_name = Admin

[profile oldsso]
sso_start_url = https://old.awsapps.com/start
sso_region = us-east-1
sso_account_id = 666666666666
sso_role_name = Admin

[profile lostsso]
sso_session = crop
sso_account_id = 666666666666
sso_role_name = Admin

[profile torn]
sso_session = corp
sso_region = us-east-1
sso_account_id = 666666666666
sso_role_name = Admin

[profile roleless]
sso_session = corp
sso_account_id = 666666666666
";

async fn plan_of(choice: Option<ProfileChoice>, surroundings: &Surroundings) -> Result<Plan, String> {
    let profiles = Profiles::of(FILE).await;
    Plan::make(&profiles, choice.as_ref(), surroundings).map_err(|error| error.message)
}

async fn plan(name: &str) -> Result<Plan, String> {
    let choice = ProfileChoice::Explicit(name.to_owned());
    plan_of(Some(choice), &Surroundings::default()).await
}

#[tokio::test]
async fn a_program_counts_before_keys_of_the_config_file_alone() {
    let config = "[profile p]\ncredential_process = /bin/p\naws_access_key_id = AKIACONFIG\naws_secret_access_key = s\n\
                  [profile q]\ncredential_process = /bin/q\n[profile r]\nrole_arn = arn:aws:iam::222222222222:role/r\nsource_profile = q\n\
                  [profile l]\nlogin_session = arn:aws:iam::555555555555:user/A\naws_access_key_id = AKIACONFIG\naws_secret_access_key = s\n";
    let credentials = "[q]\naws_access_key_id = AKIACREDENTIALS\naws_secret_access_key = s\n";
    let profiles = Profiles::of_both(config, credentials).await;
    let base = |name: &str| {
        let choice = ProfileChoice::Explicit(name.to_owned());
        let plan = Plan::make(&profiles, Some(&choice), &Surroundings::default());
        plan.unwrap().base
    };
    assert!(matches!(base("p"), Base::Process { command, .. } if command == "/bin/p"));
    for name in ["q", "r"] {
        assert!(matches!(base(name), Base::Keys(keys) if keys.access_key == "AKIACREDENTIALS"));
    }
    assert!(matches!(base("l"), Base::Login { .. }));
}

#[tokio::test]
async fn profiles_are_read_as_the_aws_cli_reads_them() {
    let second = plan("second").await.unwrap();
    assert!(matches!(&second.base, Base::Keys(keys) if keys.access_key == "AKIASTATIC"));
    let [role, last] = &second.roles[..] else {
        panic!("{second:?}")
    };
    assert_eq!(
        *role,
        Role {
            profile: "role".into(),
            arn: "arn:aws:iam::222222222222:role/deploy".into(),
            session_name: Some("alice".into()),
            external_id: Some("ext".into()),
            mfa_serial: Some("arn:aws:iam::111111111111:mfa/alice".into()),
            duration: Some(3600),
        }
    );
    assert_eq!((last.duration, second.account()), (None, Some("333333333333")));
    let own = plan("self").await.unwrap();
    assert!(matches!(&own.base, Base::Keys(keys) if keys.access_key == "AKIASELF"));
    assert_eq!(own.roles.len(), 1);
    // A source that has keys of its own is used for these, whatever role it names.
    let on = plan("onkeysfirst").await.unwrap();
    assert!(matches!(&on.base, Base::Keys(keys) if keys.access_key == "AKIAKEYS"));
    assert_eq!(on.roles.len(), 1);
    assert_eq!(plan("machine").await.unwrap().base, Base::Machine);
    assert!(
        matches!(plan("web").await.unwrap().base, Base::WebIdentity(WebIdentity { profile: Some(p), .. }) if p == "web")
    );
    assert!(
        matches!(plan("process").await.unwrap().base, Base::Process { command, .. } if command == "/bin/helper --flag")
    );
    assert_eq!(plan("console").await.unwrap().account(), Some("555555555555"));
    let Base::Sso(sso) = plan("sso").await.unwrap().base else {
        panic!("not SSO")
    };
    assert_eq!(
        (sso.login.key(), sso.login.region.as_str()),
        ("corp", "eu-west-1")
    );
    assert_eq!(sso.login.scopes, ["sso:account:access", "other"]);
    let Base::Sso(sso) = plan("oldsso").await.unwrap().base else {
        panic!("not SSO")
    };
    assert_eq!(sso.login.key(), "https://old.awsapps.com/start");
    assert_eq!(plan("default").await.unwrap().base, Base::Surroundings);
}

#[tokio::test]
async fn what_is_wrong_with_a_profile_is_said() {
    for (name, words) in [
        (
            "halfkey",
            "the AWS profile `halfkey` has no `aws_secret_access_key`",
        ),
        (
            "odd",
            "`credential_source = Moon`; expected Environment, EcsContainer or Ec2InstanceMetadata",
        ),
        ("both", "has both `source_profile` and `credential_source`"),
        ("neither", "neither `source_profile` nor `credential_source`"),
        ("lost", "did you mean `static`?"),
        ("empty", "takes its credentials from `default`, which has none"),
        ("a", "goes in a circle: a → b → a"),
        ("webless", "`web_identity_token_file` without `role_arn`"),
        ("lostsso", "the SSO session `crop` does not exist; there are corp"),
        (
            "torn",
            "has `sso_region = us-east-1`, its SSO session `corp` has `eu-west-1`",
        ),
        ("roleless", "has no `sso_role_name`"),
        ("keysfirst", "which does not exist"),
    ] {
        let Err(said) = plan(name).await else {
            panic!("{name} passes")
        };
        let said = said.replace("`nowhere` does not exist", "which does not exist");
        assert!(said.contains(words), "{name}: {said}");
    }
}

#[tokio::test]
async fn the_environment_counts_unless_a_profile_was_named() {
    let keys = Surroundings {
        access_key: true,
        secret_key: true,
        ..Surroundings::default()
    };
    let ambient = || Some(ProfileChoice::Ambient("static".to_owned()));
    assert_eq!(plan_of(None, &keys).await.unwrap().base, Base::Environment);
    assert_eq!(plan_of(ambient(), &keys).await.unwrap().base, Base::Environment);
    let explicit = Some(ProfileChoice::Explicit("static".to_owned()));
    let named = plan_of(explicit.clone(), &keys).await.unwrap();
    assert!(matches!(named.base, Base::Keys(_)));
    let half = Surroundings {
        access_key: true,
        ..Surroundings::default()
    };
    let said = plan_of(None, &half).await.unwrap_err();
    assert_eq!(said, "`AWS_ACCESS_KEY_ID` is set without `AWS_SECRET_ACCESS_KEY`");
    let token = Surroundings {
        token_file: Some("/var/token".to_owned()),
        role_arn: Some("arn:aws:iam::777777777777:role/pod".to_owned()),
        ..Surroundings::default()
    };
    let pod = plan_of(None, &token).await.unwrap();
    assert_eq!(pod.account(), Some("777777777777"));
    assert!(matches!(
        plan_of(explicit, &token).await.unwrap().base,
        Base::Keys(_)
    ));
    let homeless = Surroundings {
        role_arn: None,
        ..token
    };
    let said = plan_of(None, &homeless).await.unwrap_err();
    assert_eq!(
        said,
        "`AWS_WEB_IDENTITY_TOKEN_FILE` is set without `AWS_ROLE_ARN`"
    );
}

fn role(arn: &str) -> Role {
    Role {
        profile: "p".into(),
        arn: arn.into(),
        session_name: None,
        external_id: None,
        mfa_serial: None,
        duration: None,
    }
}

fn sso(session: Option<&str>) -> SsoRole {
    SsoRole {
        profile: "p".into(),
        login: SsoLogin {
            session: session.map(ToOwned::to_owned),
            start_url: "https://x.awsapps.com/start".into(),
            region: "eu-west-1".into(),
            scopes: Vec::new(),
        },
        account: "123456789012".into(),
        role: "Admin".into(),
    }
}

/// The keys were computed by botocore 1.43, that of the web identity by the AWS CLI 1.46, which hashes the token too.
#[test]
fn slots_have_botocores_keys() {
    let directory = std::path::PathBuf::from("/cache");
    let of_role = |role: &Role| Slot::of_role(Some(&directory), role);
    let plain = role("arn:aws:iam::123456789012:role/deploy");
    let full = Role {
        session_name: Some("alice".into()),
        external_id: Some("ext/1".into()),
        mfa_serial: Some("arn:aws:iam::123456789012:mfa/alice".into()),
        duration: Some(3600),
        ..plain.clone()
    };
    let odd = role("arn:aws:iam::123456789012:role/žluť\"\u{7f}😀");
    let web = WebIdentity {
        profile: None,
        arn: "arn:aws:iam::123456789012:role/w".into(),
        token_file: "/token".into(),
        session_name: Some("s".into()),
    };
    for (slot, key) in [
        (of_role(&plain), "6a9d9ba39800a1773d9a3bd50c4a0db301ff5832"),
        (of_role(&full), "2d0e85e73d79eb4d654e0e9a6f48f78fdf617e17"),
        (of_role(&odd), "544002daf666e7640a05e69556a02b8d5c659ace"),
        (
            Slot::of_web_identity(Some(&directory), &web, &"t".to_owned().into()),
            "27d9e079419ee6ff21a30ac3baaba581c714a7b6",
        ),
        (
            Slot::of_sso(Some(&directory), &sso(Some("corp"))),
            "8457bc68cf9d4aa8d629a61563948e8bd3159d49",
        ),
        (
            Slot::of_sso(Some(&directory), &sso(None)),
            "243185b3287804d23760113d179c4c72e67b4061",
        ),
    ] {
        assert_eq!(slot.name(), Some(key));
    }
}

#[test]
fn the_times_of_all_versions_are_read() {
    let at = Some(UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    for text in [
        "2023-11-14T22:13:20Z",
        "2023-11-14T22:13:20UTC",
        "2023-11-14T22:13:20+00:00",
        "2023-11-14T23:13:20+01:00",
        "2023-11-14T22:13:20.123Z",
    ] {
        assert_eq!(time(text), at, "{text}");
    }
    assert_eq!(time("tomorrow"), None);
}

fn lasting(seconds: u64) -> Credentials {
    let expiry = SystemTime::now() + Duration::from_secs(seconds);
    Credentials::new("ASIA", "secret", Some("token".into()), Some(expiry), "test")
}

#[test]
fn what_is_kept_is_found_until_it_nears_its_end() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("cli").join("cache");
    let slot = Slot::of_role(Some(&directory), &role("arn:aws:iam::123456789012:role/deploy"));
    let kind = Kind::Assumed {
        id: "AROA:alice".into(),
        arn: "arn:aws:sts::123456789012:assumed-role/deploy/alice".into(),
    };
    let now = SystemTime::now();
    assert!(slot.read(now).is_none());
    slot.write(&lasting(3600), &kind).unwrap();
    let cached = slot.read(now).unwrap();
    assert_eq!(cached.credentials.access_key_id(), "ASIA");
    assert_eq!(cached.credentials.account_id().unwrap().as_str(), "123456789012");
    assert_eq!(cached.warning, None);
    assert!(slot.read(now + Duration::from_secs(3400)).is_none());
    let file = directory.join("6a9d9ba39800a1773d9a3bd50c4a0db301ff5832.json");
    for damaged in [
        "",
        "{\"Credentials\": {\"AccessKeyId\": \"A",
        "[]",
        "{\"Credentials\": 1}",
    ] {
        std::fs::write(&file, damaged).unwrap();
        assert!(slot.read(now).is_none(), "{damaged}");
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_others_can_read_is_told_and_made_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("token.json");
    crate::private::replace(&file, b"{}").unwrap();
    let mode = || std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    assert_eq!(private_file::read(&file).unwrap().1, None);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let warning = private_file::read(&file).unwrap().1.unwrap();
    assert!(
        warning.contains("could be read by others; it is private now"),
        "{warning}"
    );
    assert_eq!(mode(), 0o600);
}

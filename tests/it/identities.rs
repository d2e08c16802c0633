//! Profiles that lead to somebody, and who that is: by ssmx, and by the AWS CLI.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::env::TestEnv;

/// Profiles of most kinds, for the scenario `sign-in`; `HOME` stands for the home directory.
pub const PROFILES: &str = "
[default]
region = eu-west-2

[profile static]
region = eu-west-2
aws_access_key_id = AKIASANDBOXPROD00001
aws_secret_access_key = sandbox/prod/alice/not-a-real-secret

[profile deploy]
region = eu-west-2
role_arn = arn:aws:iam::444455556666:role/deploy
source_profile = static

[profile second]
region = eu-west-2
role_arn = arn:aws:iam::111122223333:role/second
source_profile = deploy
role_session_name = chained

[profile pod]
region = eu-west-2
role_arn = arn:aws:iam::444455556666:role/pod
web_identity_token_file = HOME/token

[profile process]
region = eu-west-2
credential_process = sh -c \"echo '{\\\"Version\\\":1,\\\"AccessKeyId\\\":\\\"AKIASANDBOXPROD00001\\\",\\\"SecretAccessKey\\\":\\\"sandbox/prod/alice/not-a-real-secret\\\"}'\"

[sso-session corp]
sso_start_url = https://corp.awsapps.com/start
sso_region = eu-west-1
sso_registration_scopes = sso:account:access

[profile sso]
region = eu-west-2
sso_session = corp
sso_account_id = 444455556666
sso_role_name = Admin

[profile old]
region = eu-west-2
sso_start_url = https://corp.awsapps.com/start
sso_region = eu-west-1
sso_account_id = 444455556666
sso_role_name = Admin
";

/// Who we are.
pub fn arn(env: &TestEnv, words: &[&str]) -> String {
    let words = [&["whoami", "-o", "json"], words].concat();
    let document: Value = serde_json::from_str(&env.run(&words).ok()).unwrap();
    document["arn"].as_str().unwrap().to_owned()
}

/// Who the AWS CLI is; `Err` with its words.
pub fn by_cli(env: &TestEnv, aws: &Path, words: &[&str]) -> Result<String, String> {
    let output = env
        .other(aws)
        .args(["sts", "get-caller-identity", "--query", "Arn", "--output", "text"])
        .args(["--endpoint-url", &env.sandbox.endpoint()])
        .args(words)
        // Its interpreter may lie anywhere.
        .env("PATH", std::env::var_os("PATH").unwrap())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap().trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

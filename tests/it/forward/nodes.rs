//! Which node a forward goes through, and what becomes of it when that node is gone.

use std::io::{Read as _, Write as _};

use ssmx_sandbox::fault::Resume;
use ssmx_sandbox::scenario::{Node, State};
use ssmx_sandbox::{ApiFault, Effect};

use super::far::{NODE, echo, service, spec};
use super::running::Running;
use super::sessions::{lose, newest, rest, starts};
use crate::env::TestEnv;

const WEB: &str = "i-0a1b2c3d4e5f60001";

#[test]
fn the_first_target_that_is_online_is_taken_and_the_next_when_it_goes() {
    let env = TestEnv::new();
    let port = service(echo);
    env.config(&format!(
        "[presets.db]\ntarget = [\"name=prod-cache\", \"{NODE}\", \"{WEB}\"]\nport = {port}\nlocal = 0\n"
    ));
    let forward = Running::start(&env, &["db"]);
    assert_eq!(newest(&env).1, NODE, "the first one's agent is lost");
    forward.check_echo(1000, 1);
    env.sandbox.world().set_state(NODE, State::Stopped);
    lose(&env, Resume::Unknown);
    forward.reach_echo();
    assert_eq!(newest(&env).1, WEB);
    env.sandbox.world().set_state(NODE, State::Running);
    lose(&env, Resume::Unknown);
    forward.reach_echo();
    assert_eq!(newest(&env).1, NODE, "each time the first that is there");
}

#[test]
fn an_instance_that_was_replaced_under_its_name_is_found() {
    let env = TestEnv::new();
    let forward = Running::start(&env, &["name=prod-bastion", &spec(service(echo))]);
    forward.check_echo(1000, 1);
    env.sandbox.world().set_state(NODE, State::Terminated);
    let successor = env.sandbox.world().add(Node::named("prod-bastion")).unwrap();
    lose(&env, Resume::Unknown);
    forward.reach_echo();
    assert_eq!(newest(&env).1, successor);
}

#[test]
fn several_successors_under_one_name_want_a_person() {
    let env = TestEnv::new();
    let forward = Running::start(&env, &["name=prod-bastion", &spec(service(echo))]);
    forward.check_echo(1000, 1);
    let world = env.sandbox.world();
    world.set_state(NODE, State::Terminated);
    let successors = [(); 2].map(|()| world.add(Node::named("prod-bastion")).unwrap());
    lose(&env, Resume::Unknown);
    forward.expect("a new session needs you: 2 nodes in 111122223333 eu-west-2");
    assert_eq!(rest(forward.connect()), b"", "which is said once");
    world.set_state(&successors[1], State::Terminated);
    forward.check_echo(1000, 2);
    assert_eq!(newest(&env).1, successors[0]);
}

#[test]
fn a_node_that_is_away_for_a_while_is_waited_for() {
    // One that is terminated bears no name any more: its successor may, in a while.
    for away in [State::Stopped, State::Terminated] {
        let env = TestEnv::new();
        let forward = Running::start(&env, &["name=prod-bastion", &spec(service(echo))]);
        env.sandbox.world().set_state(NODE, away);
        lose(&env, Resume::Unknown);
        forward.expect("no session (");
        // A connection waits meanwhile.
        let mut early = forward.connect();
        early.write_all(b"x").unwrap();
        env.sandbox.world().set_state(NODE, State::Running);
        early.read_exact(&mut [0]).unwrap();
        forward.check_echo(1000, 1);
    }
}

#[test]
fn a_name_in_a_list_that_nobody_bears_is_passed_over() {
    let env = TestEnv::new();
    env.config(&format!(
        "[presets.db]\ntarget = [\"name=prod-bastion\", \"name=prod-web\"]\nport = {}\nlocal = 0\n",
        service(echo)
    ));
    let passed_over = "db: passed over: no node in 111122223333 eu-west-2 fits `name=prod-bastion`";
    let forward = Running::start(&env, &["db", "-p", "prod"]);
    assert_eq!(newest(&env).1, NODE);
    env.sandbox.world().set_state(NODE, State::Terminated);
    lose(&env, Resume::Unknown);
    forward.expect(passed_over);
    forward.reach_echo();
    assert_eq!(newest(&env).1, WEB);
    // And from the start.
    let forward = Running::start(&env, &["db", "-p", "prod"]);
    forward.expect(passed_over);
    forward.check_echo(1000, 1);
    assert_eq!(newest(&env).1, WEB);
    env.sandbox.world().set_state(WEB, State::Terminated);
    let told = env.run(&["forward", "db", "-p", "prod"]);
    assert_eq!(told.status, 252, "{told}");
}

#[test]
fn a_remembered_node_that_is_denied_is_looked_up_once_more() {
    let env = TestEnv::new();
    let words = ["--idle-timeout", "1s", "name=prod-bastion", &spec(service(echo))];
    let forward = Running::start(&env, &words);
    forward.expect("unused, so its session was ended");
    let look_ups = || env.sandbox.calls_of("ec2:DescribeInstances").len();
    let (before, started) = (look_ups(), starts(&env));
    env.sandbox
        .faults()
        .add(ApiFault::new("ssm:StartSession", Effect::Deny).times(1));
    forward.check_echo(1000, 1);
    assert_eq!((look_ups(), starts(&env)), (before + 1, started + 2));
}

//! Which of the nodes that fit is meant. Never a guess: one that can be reached, or what was asked for on
//! purpose, or a question.

use std::cmp::Reverse;

use crate::inventory::node::{AgentState, InstanceState, Node};

/// What to do when several nodes fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pick {
    /// Ask the person; without one, refuse.
    #[default]
    Ask,
    /// The one that was launched last.
    Newest,
    /// The one that was launched first.
    Oldest,
    /// Whichever.
    Any,
}

/// Whether a session to a node has a chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It runs and its agent is online.
    Ready,
    /// Nobody could tell: SSM or EC2 was not asked or denied the look-up.
    Unknown,
    /// Its agent is not heard of. Pings lag: GetConnectionStatus tells for certain.
    Doubtful(Reason),
    /// It is not up.
    Down(Reason),
}

/// Why a node cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// EC2 is stopping it or has.
    Stopped,
    /// EC2 is starting it.
    Pending,
    /// EC2 is deleting it or has.
    Terminated,
    /// The agent's pings have stopped.
    AgentLost,
    /// SSM has never heard of it.
    NeverRegistered,
}

impl Reason {
    /// In a few words, to follow a name or stand in a column.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Pending => "still starting",
            Self::Terminated => "terminated",
            Self::AgentLost => "agent lost",
            Self::NeverRegistered => "never registered with SSM",
        }
    }
}

/// Whether a session to a node has a chance, by what is known of it.
pub fn standing(node: &Node) -> Standing {
    match (node.state, node.agent) {
        (InstanceState::Terminated | InstanceState::ShuttingDown, _) => Standing::Down(Reason::Terminated),
        (InstanceState::Stopped | InstanceState::Stopping, _) => Standing::Down(Reason::Stopped),
        (_, AgentState::Online) => Standing::Ready,
        (InstanceState::Pending, _) => Standing::Doubtful(Reason::Pending),
        (_, AgentState::Lost) => Standing::Doubtful(Reason::AgentLost),
        (_, AgentState::NeverRegistered) => Standing::Doubtful(Reason::NeverRegistered),
        (_, AgentState::Unknown) => Standing::Unknown,
    }
}

impl Standing {
    /// Why not, where there is a reason.
    pub fn reason(self) -> Option<Reason> {
        match self {
            Self::Ready | Self::Unknown => None,
            Self::Doubtful(reason) | Self::Down(reason) => Some(reason),
        }
    }

    fn rank(self) -> u8 {
        match self {
            Self::Ready => 0,
            Self::Unknown => 1,
            Self::Doubtful(_) => 2,
            Self::Down(_) => 3,
        }
    }
}

/// Sorts for people: those that can be reached first, then by name, the newest first among namesakes.
pub fn sort(nodes: &mut [Node]) {
    nodes.sort_by(|a, b| {
        let key = |node: &Node| (standing(node).rank(), node.name.is_none());
        key(a)
            .cmp(&key(b))
            .then_with(|| a.name.cmp(&b.name))
            .then_with(|| Reverse(a.launched).cmp(&Reverse(b.launched)))
            .then_with(|| a.id.cmp(&b.id))
    });
}

/// Which one is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// This one.
    One {
        /// The node.
        node: Box<Node>,
        /// Namesakes that cannot be reached, which a note tells of.
        passed_over: Vec<Node>,
    },
    /// One of these, the likeliest first.
    Several(Vec<Node>),
    /// None fits.
    None,
}

/// Chooses among the nodes that fit. `pick` decides among those that can be reached; where a session has to be
/// confirmed, the caller passes [`Pick::Ask`].
pub fn choose(mut nodes: Vec<Node>, pick: Pick) -> Choice {
    sort(&mut nodes);
    let hope = nodes.iter().map(|node| standing(node).rank()).min();
    let Some(hope) = hope else {
        return Choice::None;
    };
    // Ready and unknown ones compete: not to know is no reason to prefer the other.
    let hope = hope.max(1);
    let (mut likely, passed_over): (Vec<Node>, Vec<Node>) =
        nodes.into_iter().partition(|node| standing(node).rank() <= hope);
    let index = match (likely.len(), pick) {
        (1, _) | (_, Pick::Any) => Some(0),
        (_, Pick::Ask) => None,
        // A node whose launch nobody knows is neither the newest nor the oldest.
        (_, Pick::Newest) => extreme(&likely, |node| node.launched.map(Reverse)),
        (_, Pick::Oldest) => extreme(&likely, |node| node.launched),
    };
    match index {
        Some(index) if index < likely.len() => Choice::One {
            node: Box::new(likely.swap_remove(index)),
            passed_over,
        },
        _ => {
            likely.extend(passed_over);
            Choice::Several(likely)
        }
    }
}

/// The index of the node with the least key; `None` where two share it or none has one.
fn extreme<K: Ord>(nodes: &[Node], key: impl Fn(&Node) -> Option<K>) -> Option<usize> {
    let keyed = nodes
        .iter()
        .enumerate()
        .filter_map(|(index, node)| Some((key(node)?, index)));
    let mut keyed: Vec<(K, usize)> = keyed.collect();
    keyed.sort();
    match keyed.as_slice() {
        [(first, _), (second, _), ..] if first == second => None,
        [(_, index), ..] => Some(*index),
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn node(number: u8, state: InstanceState, agent: AgentState) -> Node {
        let mut node = Node::new(format!("i-{number:017x}").parse().unwrap());
        node.name = Some("web".into());
        node.state = state;
        node.agent = agent;
        node.launched = jiff::Timestamp::from_second(i64::from(number)).ok();
        node
    }

    fn online(number: u8) -> Node {
        node(number, InstanceState::Running, AgentState::Online)
    }

    fn stopped(number: u8) -> Node {
        node(number, InstanceState::Stopped, AgentState::Unknown)
    }

    fn lost(number: u8) -> Node {
        node(number, InstanceState::Running, AgentState::Lost)
    }

    fn one(number: Node, passed_over: &[Node]) -> Choice {
        Choice::One {
            node: Box::new(number),
            passed_over: passed_over.to_vec(),
        }
    }

    #[test]
    fn one_that_can_be_reached_is_taken_and_several_are_a_question() {
        let unknown = |number| node(number, InstanceState::Running, AgentState::Unknown);
        let table: Vec<(&str, Vec<Node>, Pick, Choice)> = vec![
            ("none", vec![], Pick::Any, Choice::None),
            ("one", vec![online(1)], Pick::Ask, one(online(1), &[])),
            ("one, stopped", vec![stopped(1)], Pick::Ask, one(stopped(1), &[])),
            (
                "one online, others not",
                vec![stopped(1), online(2), lost(3)],
                Pick::Ask,
                one(online(2), &[lost(3), stopped(1)]),
            ),
            (
                "two online",
                vec![online(1), online(2), stopped(3)],
                Pick::Ask,
                Choice::Several(vec![online(2), online(1), stopped(3)]),
            ),
            (
                "newest",
                vec![online(1), online(2)],
                Pick::Newest,
                one(online(2), &[]),
            ),
            (
                "oldest",
                vec![online(1), online(2)],
                Pick::Oldest,
                one(online(1), &[]),
            ),
            (
                "the newest that can be reached",
                vec![online(1), online(2), stopped(3)],
                Pick::Newest,
                one(online(2), &[stopped(3)]),
            ),
            ("any", vec![online(1), online(2)], Pick::Any, one(online(2), &[])),
            (
                "one not known, one online: a question",
                vec![unknown(1), online(2)],
                Pick::Ask,
                Choice::Several(vec![online(2), unknown(1)]),
            ),
            (
                "one not known",
                vec![unknown(1), stopped(2)],
                Pick::Ask,
                one(unknown(1), &[stopped(2)]),
            ),
            (
                "the last that may be up",
                vec![lost(1), stopped(2)],
                Pick::Ask,
                one(lost(1), &[stopped(2)]),
            ),
            (
                "all down",
                vec![stopped(1), stopped(2)],
                Pick::Ask,
                Choice::Several(vec![stopped(2), stopped(1)]),
            ),
        ];
        for (case, nodes, pick, expected) in table {
            assert_eq!(choose(nodes, pick), expected, "{case}");
        }
    }

    #[test]
    fn no_newest_among_equals() {
        let mut twin = online(2);
        twin.launched = online(1).launched;
        assert!(matches!(
            choose(vec![online(1), twin], Pick::Newest),
            Choice::Several(_)
        ));
        let mut nameless = online(1);
        nameless.launched = None;
        let mut other = online(2);
        other.launched = None;
        assert!(matches!(
            choose(vec![nameless, other], Pick::Oldest),
            Choice::Several(_)
        ));
    }

    #[test]
    fn the_standing_follows_both_halves() {
        use AgentState as A;
        use InstanceState as S;
        for (state, agent, expected) in [
            (S::Running, A::Online, Standing::Ready),
            (S::Unknown, A::Online, Standing::Ready),
            (S::Running, A::Unknown, Standing::Unknown),
            (S::Unknown, A::Unknown, Standing::Unknown),
            (S::Unknown, A::Lost, Standing::Doubtful(Reason::AgentLost)),
            (
                S::Running,
                A::NeverRegistered,
                Standing::Doubtful(Reason::NeverRegistered),
            ),
            (
                S::Pending,
                A::NeverRegistered,
                Standing::Doubtful(Reason::Pending),
            ),
            // SSM's word lags behind EC2's.
            (S::Stopped, A::Online, Standing::Down(Reason::Stopped)),
            (S::Stopping, A::Online, Standing::Down(Reason::Stopped)),
            (S::ShuttingDown, A::Online, Standing::Down(Reason::Terminated)),
            (S::Terminated, A::Lost, Standing::Down(Reason::Terminated)),
        ] {
            assert_eq!(standing(&node(1, state, agent)), expected, "{state:?} {agent:?}");
        }
    }

    fn any_node() -> impl Strategy<Value = Node> {
        let states = prop::sample::select(vec![
            InstanceState::Running,
            InstanceState::Stopped,
            InstanceState::Unknown,
            InstanceState::Pending,
        ]);
        let agents = prop::sample::select(vec![
            AgentState::Online,
            AgentState::Lost,
            AgentState::NeverRegistered,
            AgentState::Unknown,
        ]);
        (any::<u8>(), states, agents).prop_map(|(number, state, agent)| node(number, state, agent))
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_is_guessed(nodes in proptest::collection::vec(any_node(), 0..6)) {
            let count = nodes.len();
            let open = |node: &Node| standing(node).rank() <= 1;
            let competing = nodes.iter().filter(|node| open(node)).count();
            match choose(nodes, Pick::Ask) {
                Choice::None => prop_assert_eq!(count, 0),
                Choice::Several(all) => prop_assert_eq!(all.len(), count),
                Choice::One { node, passed_over } => {
                    prop_assert_eq!(passed_over.len() + 1, count);
                    prop_assert!(competing <= 1);
                    let rank = standing(&node).rank();
                    prop_assert!(passed_over.iter().all(|other| standing(other).rank() > rank));
                }
            }
        }
    }
}

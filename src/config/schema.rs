//! Everything that a config file can say, typed. The doc comments are the manual's text.

use std::collections::BTreeMap;

use super::shape::table;
use super::values::{
    Address, Bind, Confirm, Document, EscapeChar, Host, Keepalive, Local, OldestVersion, OneOrList, Output,
    Period, Pick, Port, Reason, Recording, Refresh, SchemaVersion, Sessions, Size, StreamHost, Transport,
    WebUrl,
};
use crate::ids::{AccountId, NodeId, Region};

table!(
    /// A whole file, and after merging the whole config.
    pub struct Config {
        /// The version of the file's format. This program knows 1.
        pub schema: SchemaVersion,
        /// What holds where nothing more particular is said.
        pub defaults: Defaults,
        /// Additions to AWS profiles, by the profile's name. A profile needs none to be used.
        pub profiles: BTreeMap<String, Profile>,
        /// Named targets: friendly names for nodes.
        pub targets: BTreeMap<String, Target>,
        /// Second names of named targets.
        pub aliases: BTreeMap<String, String>,
        /// Saved port forwards.
        pub presets: BTreeMap<String, Preset>,
        /// Named sets of presets, started together.
        pub groups: BTreeMap<String, Vec<String>>,
        /// Limits set by an administrator. Counts in the system file alone; nothing overrides it.
        pub policy: Policy,
    }
);

table!(
    /// `[defaults]`: what holds where nothing more particular is said.
    pub struct Defaults {
        /// The AWS profile, where neither a flag, the target or preset, `SSMX_PROFILE` nor `AWS_PROFILE` names one.
        pub profile: Option<String>,
        /// The region, where neither a flag, the target or preset, `SSMX_REGION` nor `AWS_REGION` names one.
        pub region: Option<Region>,
        /// What carries sessions: `auto`, `native` or `plugin`.
        pub transport: Transport,
        /// How data is printed: `table`, `wide`, `json`, `yaml`, `csv`, `text` or `name`.
        pub output: Output,
        /// When the snapshot of a scope is renewed: `on-use`, `background` or `off`.
        pub refresh: Refresh,
        /// Tags that `ssmx ls` shows as further columns.
        pub columns: Vec<String>,
        /// The command that long output is piped through at a terminal; `none` for none. Left out: AWS's
        /// `cli_pager`, `AWS_PAGER` and `PAGER` decide, as for the AWS CLI. Not in a team file.
        pub pager: Option<String>,
        /// How the person is asked before a session where the profile's section does not say.
        pub confirm: Confirm,
        /// Whether a session needs a reason where the profile's section does not say.
        pub reason: Reason,
        /// The session document of shells. Left out: the account's own preferences.
        pub document: Option<Document>,
        /// The session document of `ssmx exec`. Left out: AWS-StartNonInteractiveCommand.
        pub exec_document: Option<Document>,
        /// The character that begins `~.`, which ends a stuck shell; `none` for no such character.
        pub escape_char: EscapeChar,
        /// Where forwards listen: `loopback` (both 127.0.0.1 and ::1) or one address.
        pub bind: Bind,
        /// Over how many sessions a forward may spread its connections.
        pub sessions: Sessions,
        /// After so long without a connection a forward ends its session, until the next connection.
        pub idle_timeout: Option<Period>,
        /// After so long a forward opens a fresh session for new connections, so that the remote name is resolved
        /// anew. The old one ends with its last connection. No more than twice as many sessions as `sessions` says
        /// are open at a time: where connections stay for long, the fresh ones grow older.
        pub max_age: Option<Period>,
        /// After so long without a word of ours something harmless is sent, so that the idle timeout does not end a
        /// session; `off` for never. The plugin does not.
        pub keepalive: Keepalive,
        /// The largest payload that is sent in one message.
        pub payload_limit: Option<Size>,
        /// The most bytes that a forward sends in a second, over all its sessions; a SOCKS5 proxy, to all hosts
        /// together.
        pub rate_limit: Option<Size>,
    }
);

table!(
    /// `[profiles.NAME]`: additions to the AWS profile of that name.
    pub struct Profile {
        /// Copy what this section leaves out from that section.
        pub extends: Option<String>,
        /// A pin: any other account is refused before a session starts.
        pub account: Option<AccountId>,
        /// The regions that belong to it, the first one being its default.
        pub regions: Vec<Region>,
        /// How the person is asked before a session: `never`, `ask` or `type-name`.
        pub confirm: Option<Confirm>,
        /// Whether a session needs a reason: `optional` or `required`.
        pub reason: Option<Reason>,
        /// What carries sessions: `auto`, `native` or `plugin`.
        pub transport: Option<Transport>,
        /// The session document of shells.
        pub document: Option<Document>,
        /// The session document of `ssmx exec`.
        pub exec_document: Option<Document>,
        /// Hosts that a StreamUrl may name besides AWS's own. Not in a team file.
        pub stream_endpoint: Option<OneOrList<StreamHost>>,
        /// The command that prints a one-time code for the profile's `mfa_serial`. In the user file only.
        pub mfa_command: Option<OneOrList<String>>,
        /// Where `ssmx console` signs in. Not in a team file.
        pub federation_endpoint: Option<WebUrl>,
        /// Over how many sessions a forward may spread its connections.
        pub sessions: Option<Sessions>,
    }
);

table!(
    /// `[targets.NAME]`: a named target. It finds its node by an `id`, or by any of `name`, `tags`, `address` and
    /// `asg`, all of which must hold.
    pub struct Target {
        /// Copy what this section leaves out from that section. The selector is copied as one.
        pub extends: Option<String>,
        /// The AWS profile.
        pub profile: Option<String>,
        /// The account, whichever profile leads there. For team files, since profiles' names are personal.
        pub account: Option<AccountId>,
        /// The region.
        pub region: Option<Region>,
        /// The node's id.
        pub id: Option<NodeId>,
        /// The node's Name; `*` and `?` stand for any characters and any one.
        pub name: Option<String>,
        /// Tags that the node bears; `*` and `?` in values as for `name`.
        pub tags: BTreeMap<String, String>,
        /// An address of the node, private or public.
        pub address: Option<Address>,
        /// The Auto Scaling group that the node belongs to.
        pub asg: Option<String>,
        /// What to do when several nodes fit: `ask`, `newest`, `oldest` or `any`.
        pub pick: Pick,
        /// How the person is asked before a session; can only be stricter than the profile's section.
        pub confirm: Option<Confirm>,
        /// Whether a session needs a reason; can only be stricter than the profile's section.
        pub reason: Option<Reason>,
        /// The session document of shells.
        pub document: Option<Document>,
        /// The session document of `ssmx exec`.
        pub exec_document: Option<Document>,
    }
);

table!(
    /// `[presets.NAME]`: a saved port forward.
    pub struct Preset {
        /// Copy what this section leaves out from that section.
        pub extends: Option<String>,
        /// Through which target: a name, an id or a selector, or a list of which the first that is online is
        /// taken.
        pub target: Option<OneOrList<String>>,
        /// The AWS profile, where the target names none.
        pub profile: Option<String>,
        /// The region, where the target names none.
        pub region: Option<Region>,
        /// The remote host as the node resolves it. Left out: the node itself.
        pub host: Option<Host>,
        /// The remote port.
        pub port: Option<Port>,
        /// The local port, or the path of a Unix socket. Left out: the same as `port`; 0: a free one.
        pub local: Option<Local>,
        /// Where to listen: `loopback` (both 127.0.0.1 and ::1) or one address.
        pub bind: Option<Bind>,
        /// Start the session with the first connection, not before.
        pub lazy: Option<bool>,
        /// After so long without a connection the session is ended, until the next connection.
        pub idle_timeout: Option<Period>,
        /// After so long a fresh session is opened for new connections; the old one ends with its last one. No more
        /// than twice as many sessions as `sessions` says are open at a time.
        pub max_age: Option<Period>,
        /// Over how many sessions its connections may be spread.
        pub sessions: Option<Sessions>,
        /// How the person is asked before a session; can only be stricter than the profile's section.
        pub confirm: Option<Confirm>,
        /// Whether a session needs a reason; can only be stricter than the profile's section.
        pub reason: Option<Reason>,
        /// The session document. Left out: AWS's own for the purpose.
        pub document: Option<Document>,
        /// What carries its sessions: `auto`, `native` or `plugin`.
        pub transport: Option<Transport>,
    }
);

table!(
    /// `[policy]`: limits set by an administrator, in the system file alone. They guard against accidents; IAM
    /// enforces.
    pub struct Policy {
        /// The transports that may be used. Left out: all.
        pub transports: Option<Vec<Transport>>,
        /// The session documents that may be used; `*` stands for any characters. Left out: all.
        pub documents: Option<Vec<String>>,
        /// Where forwards may listen: `loopback` or addresses. Left out: anywhere.
        pub bind: Option<Vec<Bind>>,
        /// Whether shells may, may not or must be recorded: `allowed`, `forbidden` or `required`.
        pub recording: Recording,
        /// Whether a forward may spread over several sessions.
        pub pools: Option<bool>,
        /// Whether sessions may be kept from their idle timeout.
        pub keepalive: Option<bool>,
        /// The oldest ssmx that may be used.
        pub required_version: Option<OldestVersion>,
    }
);

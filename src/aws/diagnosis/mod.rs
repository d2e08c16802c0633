//! What `ssmx doctor` asks AWS: facts about an instance, its network, its role and the account's settings, as plain
//! values. What they mean is decided elsewhere.

pub mod databases;
pub mod instance;
pub mod logs;
pub mod network;
pub mod settings;

//! The transport to Redis: connections for commands and for subscriptions, to one server, to a primary that sentinels watch or to
//! a cluster. It knows neither streams nor stores nor the engine.
//!
//! * [`target`] takes the URL apart, [`connect`] knows how to reach one server, [`dial`] and [`tls`] (with [`der`] and
//!   [`first_version`]) over what; [`primary`] knows which one, where there is one to choose; [`cluster`], [`members`], [`slot_table`] and
//!   [`slots`] do the same for a cluster, and [`servers`] hides which it is.
//! * [`commands`] (for each [`job`], over a [`link`]) and [`subscriber`] (for each [`request`]) each keep a connection, and an [`endpoint`] shares
//!   them among all stores of the process. [`health`] reports their state to an [`observer`]; [`pulse`] says when one of them has to prove that it is alive.
//! * [`script`]: the Lua scripts that a server runs; [`fields`]: their replies; [`failure`]: errors; [`optional_right`]: optional rights.

pub mod cluster;
pub mod commands;
pub mod connect;
pub mod der;
pub mod dial;
pub mod endpoint;
pub mod failure;
pub mod fields;
pub mod first_version;
pub mod health;
pub mod job;
pub mod link;
pub mod members;
pub mod observer;
pub mod optional_right;
pub mod primary;
pub mod pulse;
pub mod request;
pub mod script;
pub mod servers;
pub mod slot_table;
pub mod slots;
pub mod subscriber;
pub mod target;
pub mod tls;

//! Streams in Redis 6.2 or newer: a hash and a Redis stream for each, changed by one Lua script per operation. How Redis is
//! reached is for [`crate::redis`] to know.
//!
//! * [`base`] is the store and what its [`operations`] are made of, some of which have files of their own: [`starts`],
//!   [`appends`] with their [`fast_append`] form, pieces of [`large`] chunks, [`logs`], [`groups`], [`reminders`], the [`index`], the [`predecessor`],
//!   [`tails`], [`rights`].
//! * [`keys`] has the names of keys; [`old_names`] and [`names`] find those of older versions; `lua/prelude.lua` describes their
//!   contents.
//! * [`scripts`] holds the Lua scripts, [`arguments`], [`reply`] and [`log_reply`] say how they take and give values; [`message`] takes
//!   apart what they publish, for the [`inboxes`].
//! * [`follow_ups`] are calls that nobody waits for, [`optional_rights`] are the store's optional rights.

mod appends;
mod arguments;
mod base;
mod books;
mod fast_append;
mod follow_ups;
mod glances;
mod groups;
mod inboxes;
mod index;
mod keys;
mod large;
mod log_reply;
mod logs;
mod message;
mod names;
mod nodes;
mod old_names;
mod operations;
mod optional_rights;
mod predecessor;
mod reminders;
mod reply;
mod rights;
mod scripts;
mod starts;
mod tails;

pub use base::RedisStore;

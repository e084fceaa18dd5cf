//! The Lua scripts. Each is one operation; shared code is put in front of them.

use std::sync::LazyLock;

use super::keys::channel_of;
use crate::redis::script::{Library, Script};

macro_rules! scripts {
    ($($name:ident $operation:literal $(on $channel_of:path)? = $($file:literal)+;)+) => {
        $(pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| {
                Script::new($operation, concat!($(include_str!(concat!("lua/", $file))),+))$(.publishing($channel_of))?
            });)+

        /// All of them.
        pub(super) static LIBRARY: LazyLock<Library> = LazyLock::new(|| Library {
            scripts: vec![$(&*$name),+],
            probe: &FAST_APPEND,
        });
    };
}

scripts! {
    START "start" = "prelude.lua" "create.lua" "books.lua" "start.lua";
    RESTORE "restore" = "prelude.lua" "create.lua" "restore.lua";
    APPEND "append" on channel_of = "prelude.lua" "seal.lua" "books.lua" "append.lua";
    LOG "log" on channel_of = "prelude.lua" "create.lua" "seal.lua" "log.lua";
    FAST_APPEND "append" on channel_of = "fast_append.lua";
    STAGE "stage" = "prelude.lua" "stage.lua";
    FORKS "forks" = "prelude.lua" "forks.lua";
    PIECE "piece" = "prelude.lua" "piece.lua";
    RENEW "renew" = "prelude.lua" "renew.lua";
    LEAVE "leave" = "prelude.lua" "leave.lua";
    VOUCH "vouch" = "vouch.lua";
    CHANGED "changed" = "changed.lua";
    TAILS "tails" = "tails.lua";
    READ "read" = "prelude.lua" "read.lua";
    STOP "stop" = "prelude.lua" "stop.lua";
    ACK "ack" = "prelude.lua" "ack.lua";
    STATUS "status" = "prelude.lua" "inspect.lua" "status.lua";
    DELETE "delete" = "prelude.lua" "inspect.lua" "remove.lua" "delete.lua";
    SWEEP "cleanup" = "prelude.lua" "inspect.lua" "remove.lua" "sweep.lua";
    TAKE "take" = "prelude.lua" "chunks.lua" "group.lua" "take.lua";
    RESOLVE "resolve" = "prelude.lua" "chunks.lua" "group.lua" "resolve.lua";
    DEAD "dead" = "prelude.lua" "chunks.lua" "group.lua" "dead.lua";
    REPEAT "repeat" = "prelude.lua" "chunks.lua" "group.lua" "repeat.lua";
    TAKE_FINISHED "take" = "clock.lua" "queue.lua" "group.lua" "take_finished.lua";
    RESOLVE_FINISHED "resolve" = "clock.lua" "queue.lua" "group.lua" "resolve.lua";
    DEAD_FINISHED "dead" = "clock.lua" "queue.lua" "group.lua" "dead.lua";
    REPEAT_FINISHED "repeat" = "clock.lua" "queue.lua" "group.lua" "repeat.lua";
    GLANCES "glances" = "prelude.lua" "inspect.lua" "progress.lua" "glances.lua";
    GROUPS "groups" = "prelude.lua" "progress.lua" "groups.lua";
    GROUPS_FINISHED "groups" = "clock.lua" "queue.lua" "groups_finished.lua";
    ANNOUNCE "announce" = "clock.lua" "queue.lua" "books.lua" "announce.lua";
    ENTER "enter" = "clock.lua" "queue.lua" "books.lua" "enter.lua";
    OVERDUE "overdue" = "clock.lua" "queue.lua" "overdue.lua";
    REMIND "remind" = "clock.lua" "times.lua" "remind.lua";
    RECALL "recall" = "clock.lua" "times.lua" "recall.lua";
    DUE "due" = "clock.lua" "due.lua";
    REMINDERS "reminders" = "reminders.lua";
    INDEX "index" = "clock.lua" "books.lua" "index.lua";
    UNLIST "unlist" = "unlist.lua";
}

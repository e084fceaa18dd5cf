//! The door to what the predecessor has left in the same Redis.

use redis::{Cmd, Value};

use super::base::RedisStore;
use crate::{
    legacy::{
        Ask, Left, Predecessor,
        left::{self, OPERATION, Server},
    },
    redis::servers::Servers,
    store::Pending,
};

impl Server for RedisStore {
    fn run<'a>(&'a self, command: &'a Cmd) -> Pending<'a, Value> {
        // There is only one server.
        Box::pin(self.run(OPERATION, "", command))
    }
}

impl Predecessor for RedisStore {
    fn ask<'a>(&'a self, ask: &'a Ask) -> Pending<'a, Option<Left>> {
        Box::pin(async move {
            if let Servers::Cluster(_) = &*self.endpoint()?.servers {
                return Ok(None);
            }
            left::answer(self, ask).await.map(Some)
        })
    }
}

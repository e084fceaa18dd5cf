//! A user of Redis that has the documented rights and no others.

/// The user's name and password, as a URL has them.
pub const USER_INFO: &str = "tidemark:tidemarks-own@";

/// Arguments of `redis-server` that make the user, with the keys and channels of prefixes that match these patterns.
pub fn user(prefixes: &[&str]) -> Vec<String> {
    let mut args: Vec<_> = ["--user", "tidemark", "on", ">tidemarks-own", "resetchannels"]
        .map(str::to_owned)
        .into();
    for prefix in prefixes {
        for name in [format!("{prefix}:*"), format!("{{{prefix}:*")] {
            args.push(format!("~{name}"));
            args.push(format!("&{name}"));
        }
    }
    let list = include_str!("../../src/store/redis/rights.txt");
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    let rights = lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        let need = words.next()?;
        (need != "sentinels").then_some(words.next()?)
    });
    args.extend(rights.map(|right| format!("+{right}")));
    args
}

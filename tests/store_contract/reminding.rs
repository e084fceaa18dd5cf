//! Reminders.

use std::time::Duration;

use tidemark::{
    Error,
    store::reminders::{MAX_REMINDER, MAX_REMINDERS, Remind, Reminded, Reminder},
};

use crate::world::*;

fn remind(key: &str, expected: u64, value: &str) -> Remind {
    Remind {
        key: key.to_owned(),
        expected,
        value: Some(value.to_owned()),
        due: 0,
        keep: LONG,
        is_news: false,
    }
}

impl Engine {
    async fn change(&self, remind: &Remind) -> Reminded {
        self.store.remind(remind).await.expect("remind")
    }

    /// Changes a reminder and returns its version.
    async fn changed(&self, remind: &Remind) -> u64 {
        match self.change(remind).await {
            Reminded::Done { version, .. } => version,
            other => panic!("{other:?}"),
        }
    }

    async fn recalled(&self, key: &str) -> Option<Reminder> {
        let recalled = self.store.recall(&[key.to_owned()]).await.expect("recall");
        recalled
            .reminders
            .into_iter()
            .next()
            .expect("an answer for each key")
    }

    async fn due(&self, count: usize) -> Vec<String> {
        let due = self.store.due(count, LONG, LONG).await.expect("due");
        due.reminders.into_iter().map(|due| due.key).collect()
    }
}

pub async fn g4_a_reminder_is_changed_by_those_who_know_it(world: &World) {
    let (a, b) = (world.engine(), world.engine());
    assert_eq!(a.recalled("one").await, None);
    let first = a.changed(&remind("one", 0, "a")).await;
    let known = b.recalled("one").await.unwrap();
    assert_eq!((known.version, known.value.as_str()), (first, "a"));
    let second = b.changed(&remind("one", first, "b")).await;
    assert!(second > first);
    match a.change(&remind("one", first, "c")).await {
        Reminded::Other {
            reminder: Some(reminder),
            now,
        } => {
            assert_eq!((reminder.version, reminder.value.as_str()), (second, "b"));
            assert!(now > 1_700_000_000_000, "milliseconds since 1970");
        }
        other => panic!("{other:?}"),
    }
    let both = vec!["two".to_owned(), "one".to_owned()];
    let recalled = a.store.recall(&both).await.unwrap();
    assert_eq!(recalled.reminders[0], None);
    assert_eq!(recalled.reminders[1].as_ref().unwrap().value, "b");
    assert_eq!(world.stranger().recalled("one").await, None);
}

pub async fn g3_a_change_may_be_repeated(world: &World) {
    let a = world.engine();
    let make = remind("one", 0, "a");
    let first = a.changed(&make).await;
    assert_eq!(a.changed(&make).await, first);
    let change = remind("one", first, "b");
    let second = a.changed(&change).await;
    assert_eq!(a.changed(&change).await, second);
    let remove = Remind {
        value: None,
        ..remind("one", second, "")
    };
    assert_eq!(a.changed(&remove).await, 0);
    assert_eq!(a.changed(&remove).await, 0);
    assert_eq!(a.recalled("one").await, None);
    let again = a.changed(&make).await;
    assert!(
        again > second,
        "a version names one value: {again} after {second}"
    );
    match a.change(&remind("two", 7, "x")).await {
        Reminded::Other { reminder: None, .. } => {}
        other => panic!("{other:?}"),
    }
}

pub async fn what_is_due_is_handed_to_one(world: &World) {
    let (a, b) = (world.engine(), world.engine());
    let Reminded::Done { now, .. } = a.change(&remind("later", 0, "x")).await else {
        panic!("made")
    };
    let later = a.recalled("later").await.unwrap().version;
    let later = Remind {
        due: now + 3_600_000,
        ..remind("later", later, "y")
    };
    a.changed(&later).await;
    for (key, due) in [("first", 1), ("second", 2), ("third", 3)] {
        a.changed(&Remind {
            due,
            ..remind(key, 0, key)
        })
        .await;
    }
    assert_eq!(a.due(2).await, ["first", "second"]);
    let due = b.store.due(9, LONG, LONG).await.unwrap();
    assert_eq!(due.reminders.len(), 1);
    assert_eq!(
        (due.reminders[0].key.as_str(), due.reminders[0].value.as_str()),
        ("third", "third")
    );
    let next = due.next.unwrap();
    assert!(
        next > due.now && next <= due.now + 60_000,
        "{next} after {}",
        due.now
    );
    // A change sets the time, also of what was handed out.
    let version = a.recalled("first").await.unwrap().version;
    a.changed(&remind("first", version, "again")).await;
    assert_eq!(b.due(9).await, ["first"]);
    // It comes again when the pause is over.
    let version = a.recalled("second").await.unwrap().version;
    a.changed(&remind("second", version, "short")).await;
    let short = a.store.due(9, SHORT, LONG).await.unwrap();
    assert_eq!(short.reminders.len(), 1);
    until("the pause is over", async || {
        (b.due(9).await == ["second"]).then_some(())
    })
    .await;
    let mut all = a.store.reminders().await.unwrap();
    all.sort_unstable();
    let keys = ["first", "later", "second", "third"];
    assert_eq!(all.iter().map(|(key, _)| key).collect::<Vec<_>>(), keys);
    for (key, version) in all {
        assert_eq!(a.recalled(&key).await.unwrap().version, version, "{key}");
    }
}

pub async fn news_of_reminders_are_told(world: &World) {
    let a = world.engine();
    let news = async || a.store.due(1, LONG, LONG).await.unwrap().news;
    assert_eq!(news().await, 0);
    let made = Remind {
        is_news: true,
        ..remind("one", 0, "a")
    };
    let version = a.changed(&made).await;
    assert_eq!(news().await, version);
    let version = a.changed(&remind("one", version, "b")).await;
    assert!(news().await < version, "not every change is news");
    let gone = Remind {
        value: None,
        is_news: true,
        ..remind("one", version, "")
    };
    a.changed(&gone).await;
    assert!(news().await > version);
}

pub async fn g9_reminders_are_bounded(world: &World) {
    let a = world.engine();
    let long = "x".repeat(MAX_REMINDER);
    let version = a.changed(&remind("long", 0, &long)).await;
    for (key, value) in [
        ("long", format!("{long}x")),
        ("", String::new()),
        (long.as_str(), String::new()),
    ] {
        match a.store.remind(&remind(key, version, &value)).await {
            Err(Error::InvalidArgument { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(a.recalled("long").await.unwrap().value.len(), MAX_REMINDER);
    let makes: Vec<_> = (1..MAX_REMINDERS)
        .map(|number| remind(&format!("{number}"), 0, "x"))
        .collect();
    let made = makes.iter().map(|make| a.store.remind(make));
    for made in futures_util::future::join_all(made).await {
        assert!(matches!(made, Ok(Reminded::Done { .. })), "{made:?}");
    }
    assert!(matches!(
        a.change(&remind("more", 0, "x")).await,
        Reminded::Full { .. }
    ));
    let version = a.recalled("1").await.unwrap().version;
    a.changed(&remind("1", version, "others may be changed")).await;
    assert_eq!(a.store.reminders().await.unwrap().len(), MAX_REMINDERS);
}

pub async fn what_is_longest_due_comes_first_and_not_too_much_at_once(world: &World) {
    let a = world.engine();
    let long = "x".repeat(MAX_REMINDER);
    for number in 1..=6 {
        let long = Remind {
            due: 7 - number,
            ..remind(&number.to_string(), 0, &long)
        };
        a.changed(&long).await;
    }
    assert_eq!(a.due(9).await, ["6", "5", "4", "3", "2"], "until they pass 1 MiB");
    assert_eq!(a.due(9).await, ["1"]);
}

pub async fn a_reminder_expires(world: &World) {
    let a = world.engine();
    for key in ["kept", "gone"] {
        let short = Remind {
            keep: Duration::from_secs(1),
            ..remind(key, 0, "x")
        };
        a.changed(&short).await;
    }
    let kept = a.store.due(1, Duration::ZERO, LONG).await.unwrap();
    let kept = &kept.reminders[0].key;
    let gone = if kept == "kept" { "gone" } else { "kept" };
    until("it expires", async || {
        a.recalled(gone).await.is_none().then_some(())
    })
    .await;
    assert!(a.recalled(kept).await.is_some(), "what is handed out is kept");
    until("it leaves the list", async || {
        a.store.due(9, Duration::ZERO, LONG).await.unwrap();
        let all = a.store.reminders().await.unwrap();
        let keys: Vec<_> = all.iter().map(|(key, _)| key).collect();
        (keys == [kept]).then_some(())
    })
    .await;
}

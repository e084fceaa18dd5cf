//! Reminders, as long and as many as there can be.

use std::time::Duration;

use tidemark::store::reminders::{MAX_RECALLED, MAX_REMINDER, MAX_REMINDERS, Remind, Reminded};

use super::{MOST_BYTES, Scene, bounded};

const KEEP: Duration = Duration::from_secs(3600);

fn remind(key: String, expected: u64, value: String) -> Remind {
    Remind {
        key,
        expected,
        value: Some(value),
        due: 0,
        keep: KEEP,
        is_news: true,
    }
}

#[tokio::test]
async fn g9_bounds_of_reminders() {
    let mut scene = Scene::new().await;
    let long = "x".repeat(MAX_REMINDER);
    let made = async |scene: &mut Scene| {
        scene.clear().await;
        let mut first = 0;
        for number in 0..MAX_REMINDERS {
            let value = if number < 64 { long.clone() } else { "x".to_owned() };
            let remind = Remind {
                due: number as u64,
                ..remind(number.to_string(), 0, value)
            };
            match scene.store.remind(&remind).await.unwrap() {
                Reminded::Done { version, .. } if number == 0 => first = version,
                Reminded::Done { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        first
    };
    let change = async |store: &tidemark::store::SharedStore, _: &_, version| {
        let other = format!("y{}", &long[1..]);
        store
            .remind(&remind("0".to_owned(), version, other))
            .await
            .unwrap()
    };
    let (changed, _) = bounded(&mut scene, "a change of a reminder", made, change).await;
    assert!(matches!(changed, Reminded::Done { .. }), "{changed:?}");
    let (due, cost) = bounded(&mut scene, "reminders that are due", made, async |store, _, _| {
        store.due(32, KEEP, KEEP).await.unwrap()
    })
    .await;
    assert_eq!(due.reminders.len(), 5, "those that pass 1 MiB together");
    assert!(cost.bytes < MOST_BYTES, "{} bytes", cost.bytes);
    let keys: Vec<_> = (0..MAX_RECALLED).map(|number| number.to_string()).collect();
    let (recalled, cost) = bounded(
        &mut scene,
        "reminders by their keys",
        made,
        async |store, _, _| store.recall(&keys).await.unwrap(),
    )
    .await;
    assert_eq!(recalled.reminders.len(), MAX_RECALLED);
    assert!(cost.bytes < MOST_BYTES, "{} bytes", cost.bytes);
    let (all, cost) = bounded(
        &mut scene,
        "all reminders and their versions",
        made,
        async |store, _, _| store.reminders().await.unwrap(),
    )
    .await;
    assert_eq!(all.len(), MAX_REMINDERS);
    assert!(cost.bytes < MOST_BYTES, "{} bytes", cost.bytes);
}

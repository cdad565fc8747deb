//! Nothing goes wrong.

use stillframe::domain::naming::{Marks, Role, image_name};
use stillframe::domain::plan::Rollout;

use super::promises;
use super::rig::{DAEMON, Rig, at, fleet, id, mins, plan};

#[tokio::test(start_paused = true)]
async fn four_nights_leave_two_images_of_each() {
    let text = fleet(5).replace(r#""instances": ["#, r#""instances": [{ "name": "other", "count": 2 }, "#);
    let mut nightly = plan("web", "0,15,30,45 2 * * *");
    nightly.rollout = Rollout { max_in_flight: 2, ..nightly.rollout };
    let mut rig = Rig::new(&text, vec![nightly.clone()]);
    rig.start();
    rig.run(mins(58)).await;
    rig.stop().await;
    promises::hold(&rig).await;

    assert_eq!(rig.outcomes("web"), ["02:00 done", "02:15 done", "02:30 done", "02:45 done"]);
    assert_eq!(rig.tagged("Backup", "yes").len(), 5);
    assert!(rig.errors().is_empty(), "{}", rig.story());
    let creates = rig.calls("CreateImage");
    assert_eq!(creates.len(), 20);
    assert!(creates.iter().all(|c| c.effect && c.parameters["NoReboot"] == "false"));
    for n in 1..=5 {
        let images = rig.images_of(&id(n));
        assert_eq!(images.len(), 2, "{}", rig.story());
        for (image, due) in images.iter().zip(["2026-03-02T02:30:00Z", "2026-03-02T02:45:00Z"]) {
            let due = at(due);
            let marks = Marks {
                daemon: DAEMON.into(),
                installation: rig.installation.clone(),
                plan: "web".into(),
                due,
                instance: id(n),
                role: Role::Image,
                source: None,
                consistency: "reboot".into(),
            };
            assert_eq!(image.name, image_name(DAEMON, "web", &id(n), due));
            assert_eq!(image.tags, marks.tags(&nightly.tags));
            let world = rig.world();
            for snapshot in image.snapshots() {
                assert_eq!(world.snapshots[snapshot].tags, image.tags);
            }
        }
    }
    let (images, snapshots) = {
        let world = rig.world();
        let left: Vec<_> = world.images.values().filter(|i| i.registered()).cloned().collect();
        (left, world.snapshots.len())
    };
    assert_eq!(images.len(), 10);
    assert_eq!(snapshots, images.iter().map(|i| i.mappings.len()).sum::<usize>());
    assert!(rig.reboots().iter().all(|(i, n)| *n == if rig.tagged("Backup", "yes").contains(i) { 4 } else { 0 }));
}

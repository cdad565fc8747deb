//! Who may use images and snapshots, what stands on them, and what is set in a region.

use std::collections::BTreeSet;

use chrono::{TimeDelta, Timelike as _};
use stillframe::cloud::classify::Class;
use stillframe::cloud::port::{AllowedImages, Ask, Change, DryRun, Effect, ImageQuery};
use stillframe::domain::observed::Tags;
use stillframe::domain::sharing::Grantee;
use stillframe::sim::account::Allowed;

use super::case::{Case, case, done, faulty, of, refused};
use super::stage::{NO_IMAGE, NO_SNAPSHOT, Stage};

pub fn cases() -> Vec<Case> {
    vec![
        case!(who_may_launch_reads_back_as_it_was_changed),
        case!(who_may_make_volumes_reads_back_as_it_was_changed, differs "reads the older form of the request alone" moto_shares_no_snapshots),
        case!(what_is_not_there_is_shared_with_nobody, differs "answers HTTP 500 for images, and shares snapshots that are not there" moto_shares_what_is_not_there),
        case!(what_the_aws_managed_key_encrypts_is_shared_with_nobody, not "moto encrypts no copies"),
        case!(tags_come_and_go_whatever_their_value),
        case!(a_deprecation_is_rounded_to_the_minute_and_never_past, not "moto has no deprecation"),
        case!(volumes_tell_their_keys),
        case!(what_a_region_is_set_to, not "moto has neither a default key nor Allowed AMIs"),
        case!(what_is_tried_changes_nothing, not "moto knows no EnableImageDeprecation, and tries no DescribeImages"),
    ]
}

fn accounts<const N: usize>(ids: [&str; N]) -> BTreeSet<Grantee> {
    ids.into_iter().map(|id| Grantee::Account(id.to_owned())).collect()
}

fn adds(add: &BTreeSet<Grantee>) -> Change {
    Change::Add(add.clone())
}

fn removes(remove: &BTreeSet<Grantee>) -> Change {
    Change::Remove(remove.clone())
}

async fn who_may_launch_reads_back_as_it_was_changed(stage: &Stage) {
    let image = stage.image(0, "stillframe/a/1").await.id;
    let read = async || stage.port.image_permissions(&stage.place, &image).await.expect("readable");
    let change = async |change: &Change| done(stage.port.change_image_permissions(&stage.place, &image, change).await);
    assert_eq!(read().await, BTreeSet::new());
    let mut all = accounts(["333333333333", "444444444444"]);
    all.insert(Grantee::Organization("arn:aws:organizations::111111111111:organization/o-abcdefghij".into()));
    all.insert(Grantee::Unit("arn:aws:organizations::111111111111:ou/o-abcdefghij/ou-abcd-12345678".into()));
    change(&adds(&all)).await;
    assert_eq!(read().await, all);
    assert_eq!(stage.governed.image_permissions(&stage.place, &image).await.as_ref(), Ok(&all));
    let (gone, new) = (accounts(["333333333333"]), accounts(["555555555555"]));
    change(&removes(&gone)).await;
    change(&adds(&new)).await;
    let left: BTreeSet<_> = all.difference(&gone).chain(&new).cloned().collect();
    assert_eq!(read().await, left);
    change(&removes(&gone)).await;
    change(&adds(&new)).await;
    assert_eq!(read().await, left, "what is not there goes, and what is there comes, without a word");
    let everyone = BTreeSet::from([Grantee::Everyone]);
    change(&adds(&everyone)).await;
    change(&removes(&left)).await;
    assert_eq!(read().await, everyone);
}

async fn who_may_make_volumes_reads_back_as_it_was_changed(stage: &Stage) {
    let snapshots = stage.image(0, "stillframe/a/1").await.snapshots;
    let read = async |n: usize| stage.port.snapshot_permissions(&stage.place, &snapshots[n]).await.expect("readable");
    let change =
        async |change: &Change| stage.port.change_snapshot_permissions(&stage.place, &snapshots[0], change).await;
    let both = accounts(["333333333333", "444444444444"]);
    done(change(&adds(&both)).await);
    assert_eq!((read(0).await, read(1).await), (both, BTreeSet::new()), "of this snapshot alone");
    done(change(&removes(&accounts(["333333333333"]))).await);
    done(change(&adds(&accounts(["555555555555"]))).await);
    assert_eq!(read(0).await, accounts(["444444444444", "555555555555"]));
    let unit = Grantee::Unit("arn:aws:organizations::111111111111:ou/o-abcdefghij/ou-abcd-12345678".into());
    let end = change(&adds(&BTreeSet::from([unit]))).await;
    assert!(matches!(&end, Effect::Refused(fault) if fault.class == Class::Final), "{end:?}");
    assert_eq!(read(0).await.len(), 2);
}

async fn moto_shares_no_snapshots(stage: &Stage) {
    let snapshots = stage.image(0, "stillframe/a/1").await.snapshots;
    let change = adds(&accounts(["333333333333"]));
    done(stage.port.change_snapshot_permissions(&stage.place, &snapshots[0], &change).await);
    assert_eq!(stage.port.snapshot_permissions(&stage.place, &snapshots[0]).await, Ok(BTreeSet::new()));
}

async fn what_is_not_there_is_shared_with_nobody(stage: &Stage) {
    let change = adds(&accounts(["333333333333"]));
    let want = of(Class::NotFound, "InvalidAMIID.NotFound");
    let read = stage.port.image_permissions(&stage.place, NO_IMAGE).await;
    assert_eq!(faulty(read.expect_err("unknown")), want);
    assert_eq!(refused(stage.port.change_image_permissions(&stage.place, NO_IMAGE, &change).await), want);
    let want = of(Class::NotFound, "InvalidSnapshot.NotFound");
    let read = stage.port.snapshot_permissions(&stage.place, NO_SNAPSHOT).await;
    assert_eq!(faulty(read.expect_err("unknown")), want);
    assert_eq!(refused(stage.port.change_snapshot_permissions(&stage.place, NO_SNAPSHOT, &change).await), want);
}

async fn moto_shares_what_is_not_there(stage: &Stage) {
    let change = adds(&accounts(["333333333333"]));
    let want = of(Class::NotFound, "InvalidAMIID.NotFound");
    assert_eq!(refused(stage.port.change_image_permissions(&stage.place, NO_IMAGE, &change).await), want);
    let read = stage.port.image_permissions(&stage.place, NO_IMAGE).await;
    assert_eq!(read.expect_err("unknown").class, Class::Transient);
    done(stage.port.change_snapshot_permissions(&stage.place, NO_SNAPSHOT, &change).await);
}

async fn what_the_aws_managed_key_encrypts_is_shared_with_nobody(stage: &Stage) {
    let image = stage.image(0, "stillframe/a/1").await;
    let copy = stage.copy_of(&image, &stage.place, Some("alias/aws/ebs")).await;
    let change = adds(&accounts(["333333333333"]));
    let end = refused(stage.port.change_snapshot_permissions(&stage.place, &copy.snapshots[0], &change).await);
    assert_eq!(end.0, Class::Final, "{end:?}");
}

async fn tags_come_and_go_whatever_their_value(stage: &Stage) {
    let image = stage.image(0, "stillframe/a/1").await;
    let both = [image.id.clone(), image.snapshots[0].clone()];
    let tags =
        Tags::from([("stillframe:lent".into(), "333333333333 o-abc".into()), ("stillframe:lent.2".into(), "".into())]);
    done(stage.port.tag(&stage.place, &both, &tags).await);
    let read = async || {
        let found = stage.port.images(&stage.place, &ImageQuery::Ids(vec![image.id.clone()]), Ask::FIRST).await;
        let of_image: Tags = (*found.expect("listed").items[0].tags).clone();
        let found = stage.port.snapshots(&stage.place, &both[1..], Ask::FIRST).await.expect("listed");
        (of_image, found.items[0].tags.clone())
    };
    let (of_image, of_snapshot) = read().await;
    for (key, value) in &tags {
        assert_eq!((of_image.get(key), of_snapshot.get(key)), (Some(value), Some(value)));
    }
    assert_eq!(of_image.get("stillframe:plan").map(String::as_str), Some("nightly"), "the others stay");
    let keys: Vec<String> = tags.keys().cloned().chain(["never there".into()]).collect();
    done(stage.port.untag(&stage.place, &both, &keys).await);
    let (of_image, of_snapshot) = read().await;
    assert!(tags.keys().all(|key| !of_image.contains_key(key) && !of_snapshot.contains_key(key)));
    assert_eq!(of_image, *image.tags);
    let end = refused(stage.port.tag(&stage.place, &[NO_IMAGE.to_owned()], &tags).await);
    assert_eq!(end, of(Class::NotFound, "InvalidAMIID.NotFound"));
}

async fn a_deprecation_is_rounded_to_the_minute_and_never_past(stage: &Stage) {
    let image = stage.image(0, "stillframe/a/1").await;
    assert_eq!(image.deprecated, None);
    let minute = stage.clock.now().with_second(0).and_then(|at| at.with_nanosecond(0)).expect("a minute");
    let at = minute + TimeDelta::days(7);
    done(stage.port.deprecate_image(&stage.place, &image.id, at + TimeDelta::seconds(20)).await);
    assert_eq!(stage.settled(&image.id).await.deprecated, Some(at));
    let past = stage.port.deprecate_image(&stage.place, &image.id, at - TimeDelta::days(8)).await;
    assert_eq!(refused(past).0, Class::Final);
    assert_eq!(stage.settled(&image.id).await.deprecated, Some(at));
    let end = refused(stage.port.deprecate_image(&stage.place, NO_IMAGE, at).await);
    assert_eq!(end, of(Class::NotFound, "InvalidAMIID.NotFound"));
}

async fn volumes_tell_their_keys(stage: &Stage) {
    let ids = [stage.multi_attach.clone(), stage.sealed_volume.clone(), "vol-00000000000000000".to_owned()];
    let found = stage.governed.volumes(&stage.place, &ids).await.expect("listed");
    let keys: Vec<_> = ids.iter().map(|id| found.iter().find(|v| v.id == *id).map(|v| v.key.as_deref())).collect();
    assert_eq!(keys, [Some(None), Some(Some(stage.key.as_str())), None]);
}

async fn what_a_region_is_set_to(stage: &Stage) {
    let (port, place) = (&stage.port, &stage.place);
    assert_eq!(port.default_key(place).await.expect("a key"), "alias/aws/ebs");
    assert_eq!(port.encrypts_by_default(place).await, Ok(false));
    assert_eq!(port.allowed_images(place).await, Ok(AllowedImages::default()));
    for (state, enabled) in [(Allowed::AuditMode, false), (Allowed::Enabled, true)] {
        {
            let mut world = stage.world();
            let account = world.accounts.entry(place.account.clone()).or_default();
            let settings = account.regions.entry(place.region.clone()).or_default();
            (settings.encrypts_by_default, settings.allowed_images) = (true, state);
            settings.default_key = Some(stage.key.clone());
            settings.image_providers = BTreeSet::from(["amazon".into(), "333333333333".into()]);
        }
        let providers = BTreeSet::from(["amazon".to_owned(), "333333333333".to_owned()]);
        assert_eq!(port.allowed_images(place).await, Ok(AllowedImages { enabled, providers, by_other_means: false }));
    }
    assert_eq!(port.default_key(place).await.as_deref(), Ok(stage.key.as_str()));
    assert_eq!(port.encrypts_by_default(place).await, Ok(true));
    assert_eq!(port.encrypts_by_default(&stage.elsewhere).await, Ok(false));
}

async fn what_is_tried_changes_nothing(stage: &Stage) {
    let image = stage.image(0, "stillframe/a/1").await;
    let (id, snapshot) = (image.id.clone(), image.snapshots[0].clone());
    let allowed = [
        DryRun::CopyImage { source_image: id.clone(), source_region: stage.place.region.clone() },
        DryRun::CreateImage { instance: stage.plain.clone() },
        DryRun::CreateTags { resource: id.clone() },
        DryRun::DeregisterImage { image: id.clone() },
        DryRun::DescribeImages,
        DryRun::EnableImageDeprecation { image: id.clone() },
        DryRun::ModifyImageAttribute { image: id.clone() },
        DryRun::ModifySnapshotAttribute { snapshot },
    ];
    for request in &allowed {
        assert_eq!(stage.port.try_out(&stage.place, request).await, Ok(()), "{request:?}");
    }
    assert_eq!(stage.settled(&id).await, image);
    assert_eq!(stage.found(ImageQuery::Names(vec!["*".into()])).await, [id]);
    let lost = stage.port.try_out(&stage.place, &DryRun::DeregisterImage { image: NO_IMAGE.into() }).await;
    assert_eq!(faulty(lost.expect_err("unknown")), of(Class::NotFound, "InvalidAMIID.NotFound"));

    let role = "stillframe";
    {
        let mut world = stage.world();
        let account = world.accounts.get_mut(&stage.there.account).expect("of the fleet");
        account.roles.iter_mut().find(|it| it.name == role).expect("of the fleet").denied.push("ec2:Describe*".into());
    }
    let denied = stage.port.try_out(&stage.there, &DryRun::DescribeImages).await;
    assert_eq!(faulty(denied.expect_err("denied")), of(Class::Denied, "UnauthorizedOperation"));
}

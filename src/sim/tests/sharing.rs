//! What is shared, who sees it, and who may change that.

use std::slice::from_ref as one;

use super::*;
use crate::sim::account::{Allowed, Settings};
use crate::sim::served::{GetAllowedImagesSettings, Given, Listed as _};

fn listing(owners: &[&str], executable_by: &[&str], ids: &[&str]) -> Action {
    Action::DescribeImages {
        list: Listing { ids: ids.iter().map(|id| (*id).to_owned()).collect(), ..Listing::default() },
        owners: owners.iter().map(|o| (*o).to_owned()).collect(),
        executable_by: executable_by.iter().map(|o| (*o).to_owned()).collect(),
        include_disabled: None,
        include_deprecated: None,
    }
}

fn change(image: &str, add: &[Grantee], remove: &[Grantee]) -> Action {
    Action::ModifyImageAttribute { image: image.into(), add: add.to_vec(), remove: remove.to_vec() }
}

fn change_snapshot(snapshot: &str, add: &[Grantee], remove: &[Grantee]) -> Action {
    Action::ModifySnapshotAttribute { snapshot: snapshot.into(), add: add.to_vec(), remove: remove.to_vec() }
}

fn account(id: &str) -> Grantee {
    Grantee::Account(id.into())
}

fn organization(id: &str) -> Grantee {
    Grantee::Organization(format!("arn:aws:organizations::111111111111:organization/{id}"))
}

fn unit(path: &str) -> Grantee {
    Grantee::Unit(format!("arn:aws:organizations::111111111111:ou/{path}"))
}

fn seen(rig: &mut Rig, by: &str, action: &Action) -> usize {
    match rig.by(&Caller::new(by), REGION, action) {
        Ok(Answer::Images(page)) => page.items.len(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_image_is_seen_by_whom_it_is_shared_with() {
    for (grantee, theirs, third, stranger) in [
        (None, false, false, false),
        (Some(account(THEIRS)), true, false, false),
        (Some(organization("o-abc")), true, true, false),
        (Some(organization("o-other")), false, false, false),
        (Some(unit("o-abc/ou-web")), true, false, false),
        (Some(unit("o-other/ou-web")), false, false, false),
        (Some(Grantee::Everyone), true, true, true),
    ] {
        let mut rig = several();
        let image = rig.ready("plain");
        if let Some(grantee) = &grantee {
            rig.call(change(&image, std::slice::from_ref(grantee), &[])).unwrap();
        }
        for (by, want) in [(OWNER, true), (THEIRS, theirs), (THIRD, third), ("444444444444", stranger)] {
            let all = seen(&mut rig, by, &listing(&[], &[], &[]));
            assert_eq!(all, usize::from(want), "{grantee:?} by {by}");
            assert_eq!(seen(&mut rig, by, &listing(&[OWNER], &[], &[])), usize::from(want), "{grantee:?} by {by}");
            assert_eq!(seen(&mut rig, by, &listing(&["self"], &[], &[])), usize::from(by == OWNER));
            let named = rig.ends(&Caller::new(by), REGION, &listing(&[], &[], &[&image]));
            assert_eq!(named, if want { "ok" } else { "InvalidAMIID.NotFound" }, "{grantee:?} by {by}");
            let copying = rig.ends(&Caller::new(by), AWAY, &copy(&image, &format!("by {by}"), None, None));
            let want = match (by, want) {
                (OWNER, _) => "ok",
                (_, true) => "InvalidRequest", // its snapshots are not shared
                (_, false) => "InvalidAMIID.NotFound",
            };
            assert_eq!(copying, want, "{grantee:?} by {by}");
        }
    }
}

#[test]
fn what_is_anothers_is_shown_without_its_tags() {
    let mut rig = several();
    let image = rig.ready("plain");
    rig.lend(&image);
    let Ok(Answer::Images(page)) = rig.by(&Caller::new(THEIRS), REGION, &listing(&[], &["self"], &[])) else {
        panic!()
    };
    assert_eq!((page.items.len(), page.items[0].it.tags.len()), (1, 0));
    assert_eq!(rig.world.images[&image].tags["A"], "1");
    let by_tag = |owners: &[&str]| Action::DescribeImages {
        list: Listing { filters: filters(&[("tag:A", &["1"])]), ..Listing::default() },
        owners: owners.iter().map(|o| (*o).to_owned()).collect(),
        executable_by: vec![],
        include_disabled: None,
        include_deprecated: None,
    };
    assert_eq!(seen(&mut rig, THEIRS, &by_tag(&[])), 0);
    assert_eq!(seen(&mut rig, OWNER, &by_tag(&["self"])), 1);
    let snapshots = Action::DescribeSnapshots { list: Listing::default(), owners: vec![OWNER.into()] };
    let Ok(Answer::Snapshots(page)) = rig.by(&Caller::new(THEIRS), REGION, &snapshots) else { panic!() };
    assert_eq!(page.items.len(), 2);
    assert!(page.items.iter().all(|s| s.it.tags.is_empty()));
    let Ok(Answer::Snapshots(page)) = rig.by(&Caller::new(THIRD), REGION, &snapshots) else { panic!() };
    assert!(page.items.is_empty());
    // A copy takes no tags of another's image, whatever is asked for.

    let mut asked = copy(&image, "copy", None, None);
    if let Action::CopyImage { copy_tags, .. } = &mut asked {
        *copy_tags = Some(true);
    }
    let made = rig.copied(&role(), REGION, &asked);
    assert!(rig.world.images[&made].tags.is_empty());
    assert!(rig.world.images[&made].lent.is_empty(), "nor its permissions");
}

#[test]
fn only_the_owner_changes_permissions_and_each_call_is_whole() {
    let mut rig = several();
    let (image, managed) = (rig.ready("plain"), rig.ready("managed"));
    let snapshot = rig.snapshots_of(&image)[0].clone();
    let under_managed = rig.snapshots_of(&managed)[0].clone();
    let id = rig.id("own");
    let pending = rig.image(&id, "pending");
    let (me, them) = (Caller::new(OWNER), Caller::new(THEIRS));
    let permissions = || Action::DescribeImageAttribute { image: image.clone(), attribute: "launchPermission".into() };
    assert_eq!(rig.ends(&them, REGION, &permissions()), "InvalidAMIID.NotFound");
    let (theirs, third) = (account(THEIRS), account(THIRD));
    let many: Vec<Grantee> = (0..501).map(|n| account(&format!("{n:012}"))).collect();
    let pending_snapshot = rig.snapshots_of(&pending)[0].clone();
    let table = [
        (&me, change(&image, &[], &[]), "InvalidParameterCombination"),
        (&me, change(&image, &[account("12345")], &[]), "InvalidAMIAttributeItemValue"),
        (&me, change(&image, &[third.clone(), unit("ou-web")], &[]), "InvalidAMIAttributeItemValue"),
        (&me, change(&image, &[Grantee::Organization("o-abc".into())], &[]), "InvalidAMIAttributeItemValue"),
        (&me, change(&image, &many, &[]), "InvalidParameterValue"),
        (&me, change(&pending, one(&theirs), &[]), "InvalidAMIID.Unavailable"),
        (&me, change(&managed, one(&theirs), &[]), "InvalidParameter"),
        (&me, change(&managed, &[], one(&theirs)), "ok"),
        (&them, change(&image, one(&third), &[]), "InvalidAMIID.NotFound"),
        (&me, change(&image, one(&theirs), one(&third)), "ok"),
        (&them, change(&image, one(&third), &[]), "AuthFailure"),
        (&them, permissions(), "AuthFailure"),
        (&me, change_snapshot(&snapshot, &[organization("o-abc")], &[]), "InvalidParameterValue"),
        (&me, change_snapshot(&snapshot, &[], &[unit("o-abc/ou-web")]), "InvalidParameterValue"),
        (&me, change_snapshot(&under_managed, one(&theirs), &[]), "InvalidParameter"),
        (&me, change_snapshot(&pending_snapshot, one(&theirs), &[]), "IncorrectState"),
        (&them, change_snapshot(&snapshot, one(&third), &[]), "InvalidSnapshot.NotFound"),
        (&me, change_snapshot(&snapshot, one(&theirs), one(&third)), "InvalidParameterCombination"),
        (&me, change_snapshot(&snapshot, &[], one(&third)), "ok"),
        (&me, change_snapshot(&snapshot, one(&theirs), &[]), "ok"),
        (&them, change_snapshot(&snapshot, one(&third), &[]), "AuthFailure"),
    ];
    for (caller, action, want) in table {
        assert_eq!(rig.ends(caller, REGION, &action), want, "{action:?}");
    }
    let of = |grantees: &[&Grantee]| grantees.iter().map(|g| (*g).clone()).collect();
    assert_eq!(rig.call(permissions()), Ok(Answer::Permissions(image.clone(), of(&[&theirs]))));
    rig.call(change(&image, one(&third), std::slice::from_ref(&theirs))).unwrap();
    assert_eq!(rig.call(permissions()), Ok(Answer::Permissions(image.clone(), of(&[&third]))));
    let of_snapshot =
        Action::DescribeSnapshotAttribute { snapshot: snapshot.clone(), attribute: "createVolumePermission".into() };
    assert_eq!(rig.call(of_snapshot), Ok(Answer::Permissions(snapshot, of(&[&theirs]))));
    let error = rig.call(change_snapshot(&under_managed, &[theirs], &[])).unwrap_err();
    assert!(error.message.starts_with("Snapshots encrypted with the AWS Managed CMK"), "{error}");
    // 500 more, and 499 more, are the thousand.
    rig.call(change(&image, &many[..500], &[])).unwrap();
    let rest: Vec<Grantee> = (1000..1500).map(|n| account(&format!("{n:012}"))).collect();
    rig.call(change(&image, &rest[..499], &[])).unwrap();
    assert_eq!(rig.code(change(&image, &rest[499..], &[])), "ResourceLimitExceeded");
}

#[test]
fn a_copy_by_another_account_needs_every_snapshot_and_no_product_codes() {
    let mut rig = several();
    let (image, market) = (rig.ready("plain"), rig.ready("market"));
    rig.call(share(&image, THEIRS)).unwrap();
    rig.lend(&market);
    let ask = |image: &str, name: &str| copy(image, name, None, None);
    for snapshot in rig.snapshots_of(&image) {
        let error = rig.by(&role(), AWAY, &ask(&image, "copy")).unwrap_err();
        assert_eq!(error.message, "You do not have permission to access the storage of this ami");
        rig.call(share_snapshot(&snapshot, THEIRS)).unwrap();
    }
    assert_eq!(rig.ends(&role(), AWAY, &ask(&image, "copy")), "ok");
    let error = rig.by(&role(), AWAY, &ask(&market, "copy 2")).unwrap_err();
    assert_eq!(error.message, "Images with EC2 BillingProduct codes cannot be copied to another AWS account");
    let own = rig.copied(&Caller::new(OWNER), REGION, &ask(&market, "own copy"));
    assert!(rig.world.images[&own].product_codes, "what derives from it bears them too");
}

#[test]
fn allowed_images_and_deprecation_hide_what_is_shared() {
    let setting = |state, providers: &[&str]| Settings {
        allowed_images: state,
        image_providers: providers.iter().map(|p| (*p).to_owned()).collect(),
        ..Settings::default()
    };
    for (settings, want) in [
        (setting(Allowed::Disabled, &[]), 1),
        (setting(Allowed::AuditMode, &["amazon"]), 1),
        (setting(Allowed::Enabled, &["amazon"]), 0),
        (setting(Allowed::Enabled, &["amazon", OWNER]), 1),
    ] {
        let mut rig = several_with(|fleet| {
            fleet.accounts[0].regions.insert(REGION.into(), settings.clone());
        });
        let image = rig.ready("plain");
        rig.lend(&image);
        assert_eq!(seen(&mut rig, THEIRS, &listing(&[], &[], &[])), want, "{settings:?}");
        let copying = rig.ends(&role(), AWAY, &copy(&image, "copy", None, None));
        assert_eq!(copying, if want == 1 { "ok" } else { "InvalidAMIID.NotFound" });
        let state = settings.allowed_images.as_str();
        let providers = settings.image_providers.into_iter().collect();
        assert_eq!(
            rig.by(&role(), REGION, &Action::Served(GetAllowedImagesSettings.request())),
            Ok(Answer::Served(Given::GetAllowedImagesSettings((state, providers))))
        );
    }

    let mut rig = several();
    let image = rig.ready("plain");
    rig.lend(&image);
    let at = |seconds: i64| t0() + Duration::seconds(seconds);
    let deprecate = |seconds: i64| Action::EnableImageDeprecation { image: image.clone(), at: at(seconds) };
    assert_eq!(rig.ends(&Caller::new(THEIRS), REGION, &deprecate(600)), "AuthFailure");
    assert_eq!(rig.code(deprecate(-60)), "InvalidParameterValue");
    assert_eq!(rig.code(deprecate(11 * 365 * 86_400)), "InvalidParameterValue");
    for (asked, rounded) in [(629, 600), (630, 660), (600, 600)] {
        rig.call(deprecate(asked)).unwrap();
        assert_eq!(rig.world.images[&image].deprecated, Some(at(rounded)), "{asked}");
    }
    assert_eq!(seen(&mut rig, THEIRS, &listing(&[], &[], &[])), 1, "until then");
    rig.wait(600);
    let mut all = listing(&[], &[], &[]);
    assert_eq!((seen(&mut rig, THEIRS, &all), seen(&mut rig, OWNER, &all)), (0, 1));
    if let Action::DescribeImages { include_deprecated, .. } = &mut all {
        *include_deprecated = Some(true);
    }
    assert_eq!(seen(&mut rig, THEIRS, &all), 1);
    assert_eq!(rig.ends(&role(), AWAY, &copy(&image, "copy", None, None)), "ok", "it can still be used");
}

#[test]
fn people_share_by_hand_and_a_disabled_image_is_shared_no_more() {
    let mut rig = several();
    let image = rig.ready("plain");
    let snapshot = rig.snapshots_of(&image)[0].clone();
    let home = Place::new(OWNER, REGION);
    let (id, to) = (|| image.clone(), || THEIRS.to_owned());
    for (deed, lent, lent_snapshot) in [
        (Deed::ShareImage { image: id(), account: to() }, 1, 0),
        (Deed::ShareSnapshot { snapshot: snapshot.clone(), account: to() }, 1, 1),
        (Deed::UnshareImage { image: id(), account: to() }, 0, 1),
        (Deed::UnshareImage { image: id(), account: to() }, 0, 1),
        (Deed::UnshareSnapshot { snapshot: snapshot.clone(), account: to() }, 0, 0),
        (Deed::ShareImage { image: id(), account: to() }, 1, 0),
        (Deed::Disable(id()), 0, 0),
        (Deed::Enable(id()), 0, 0),
    ] {
        rig.world.person(rig.now, &home, &deed).unwrap();
        let got = (rig.world.images[&image].lent.len(), rig.world.snapshots[&snapshot].lent.len());
        assert_eq!(got, (lent, lent_snapshot), "{deed:?}");
    }
}

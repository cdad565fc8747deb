//! `Ec2` on the SDK: each method puts exactly one request on the wire.

use async_trait::async_trait;
use aws_sdk_ec2::operation::RequestId;
use aws_sdk_ec2::types::{Filter, ResourceType, TagSpecification};

use super::convert::{image, instance, sdk_tags, snapshot, status};
use super::error::{answer_fault, end};
use super::{AwsCloud, plain, send};
use crate::cloud::port::{
    Ask, CreateImage, Ec2, Effect, Fault, ImageQuery, InstanceQuery, Page, Read, SnapshotEnd, made_image,
};
use crate::domain::observed::{Image, Instance, InstanceStatus, Snapshot, Tags};
use crate::domain::place::Place;

/// Objects of one page (API reference: at most 1,000 for instances, images and snapshots).
const PAGE_SIZE: u32 = 1_000;
/// Volumes of one page (API reference: 5 to 500 where it ever named a range).
pub(super) const VOLUME_PAGE_SIZE: u32 = 500;

#[async_trait(?Send)]
impl Ec2 for AwsCloud {
    async fn instances(&self, place: &Place, query: &InstanceQuery, page: Ask<'_>) -> Read<Page<Instance>> {
        let filters = match query {
            InstanceQuery::Ids(ids) => vec![filter("instance-id", ids)],
            InstanceQuery::LaunchedFrom(ids) => vec![filter("image-id", ids)],
            InstanceQuery::Tags(tags) => {
                tags.iter().map(|(key, values)| filter(&format!("tag:{key}"), values)).collect()
            }
        };
        let (size, page) = turn(page, PAGE_SIZE);
        let answer = send!(self, place, ec2 => {
            ec2.describe_instances().set_filters(Some(filters)).max_results(size).set_next_token(page)
        })?;
        let found = answer.reservations().iter().flat_map(aws_sdk_ec2::types::Reservation::instances);
        Ok(Page { items: found.filter_map(instance).collect(), next: token(answer.next_token()) })
    }

    async fn instance_status(&self, place: &Place, ids: &[String]) -> Read<Vec<InstanceStatus>> {
        let ids = Some(ids.to_vec());
        let answer = send!(self, place, ec2 => {
            ec2.describe_instance_status().set_instance_ids(ids).include_all_instances(true)
        })?;
        Ok(answer.instance_statuses().iter().filter_map(status).collect())
    }

    async fn multi_attach_volumes(&self, place: &Place, page: Ask<'_>) -> Read<Page<String>> {
        let filters = filter("multi-attach-enabled", &["true".to_owned()]);
        let (size, page) = turn(page, VOLUME_PAGE_SIZE);
        let answer = send!(self, place, ec2 => {
            ec2.describe_volumes().filters(filters).max_results(size).set_next_token(page)
        })?;
        let ids = answer.volumes().iter().filter_map(|volume| volume.volume_id().map(str::to_owned));
        Ok(Page { items: ids.collect(), next: token(answer.next_token()) })
    }

    async fn images(&self, place: &Place, query: &ImageQuery, page: Ask<'_>) -> Read<Page<Image>> {
        let filters = match query {
            ImageQuery::Ids(ids) => filter("image-id", ids),
            ImageQuery::Names(names) => filter("name", names),
            ImageQuery::SourceInstances(ids) => filter("source-instance-id", ids),
            ImageQuery::Tag(key, value) => filter(&format!("tag:{key}"), std::slice::from_ref(value)),
        };
        let (size, page) = turn(page, PAGE_SIZE);
        let answer = send!(self, place, ec2 => {
            let request = ec2.describe_images().owners("self").include_disabled(true).filters(filters);
            request.max_results(size).set_next_token(page)
        })?;
        let items = answer.images().iter().filter_map(image).collect();
        Ok(Page { items, next: token(answer.next_token()) })
    }

    async fn snapshots(&self, place: &Place, ids: &[String], page: Ask<'_>) -> Read<Page<Snapshot>> {
        self.snapshots_by(place, filter("snapshot-id", ids), page).await
    }

    async fn snapshots_tagged(&self, place: &Place, key: &str, value: &str, page: Ask<'_>) -> Read<Page<Snapshot>> {
        self.snapshots_by(place, filter(&format!("tag:{key}"), &[value.to_owned()]), page).await
    }

    async fn create_image(&self, place: &Place, request: &CreateImage) -> Effect<String> {
        let sent = send!(self, place, ec2 => {
            ec2.create_image()
                .instance_id(&request.instance)
                .name(&request.name)
                .description(&request.description)
                .no_reboot(request.no_reboot)
                .set_tag_specifications(tag_specifications(&request.tags))
        });
        match sent {
            Ok(answer) => {
                let request_id = answer.request_id().map(str::to_owned);
                match made_image("CreateImage", answer.image_id) {
                    Ok(value) => Effect::Done { value, request_id },
                    Err(fault) => Effect::Unknown(Fault { request_id, ..fault }),
                }
            }
            Err(fault) => end(fault),
        }
    }

    async fn deregister_image(&self, place: &Place, image: &str, whole: bool) -> Effect<Vec<SnapshotEnd>> {
        match send!(self, place, ec2 => ec2.deregister_image().image_id(image).delete_associated_snapshots(whole)) {
            Ok(answer) if answer.r#return() == Some(false) => {
                Effect::Unknown(answer_fault(format!("DeregisterImage of {image}: the answer is `false`")))
            }
            Ok(answer) => {
                // Absent from older endpoints.
                let ends = answer.delete_snapshot_results().iter().filter_map(|result| {
                    let word = result.return_code().map_or("", aws_sdk_ec2::types::SnapshotReturnCodes::as_str);
                    Some(SnapshotEnd { snapshot: result.snapshot_id()?.to_owned(), result: word.to_owned() })
                });
                Effect::Done { value: ends.collect(), request_id: answer.request_id().map(str::to_owned) }
            }
            Err(fault) => end(fault),
        }
    }

    async fn delete_snapshot(&self, place: &Place, snapshot: &str) -> Effect<()> {
        plain!(send!(self, place, ec2 => ec2.delete_snapshot().snapshot_id(snapshot)))
    }
}

impl AwsCloud {
    async fn snapshots_by(&self, place: &Place, filters: Filter, page: Ask<'_>) -> Read<Page<Snapshot>> {
        let (size, page) = turn(page, PAGE_SIZE);
        let answer = send!(self, place, ec2 => {
            let request = ec2.describe_snapshots().owner_ids("self").filters(filters);
            request.max_results(size).set_next_token(page)
        })?;
        let items = answer.snapshots().iter().filter_map(snapshot).collect();
        Ok(Page { items, next: token(answer.next_token()) })
    }
}

/// The same tags for an image and for each of its snapshots; EC2 refuses a specification without tags.
pub(super) fn tag_specifications(tags: &Tags) -> Option<Vec<TagSpecification>> {
    let tagged = |kind| TagSpecification::builder().resource_type(kind).set_tags(Some(sdk_tags(tags))).build();
    (!tags.is_empty()).then(|| [ResourceType::Image, ResourceType::Snapshot].map(tagged).to_vec())
}

pub(super) fn filter(name: &str, values: &[String]) -> Filter {
    Filter::builder().name(name).set_values(Some(values.to_vec())).build()
}

/// The size of a page, and the token that it goes on with. That a list may go on with pages of another size is
/// UNVERIFIED; should it not, the request is refused and the list fails.
pub(super) fn turn(page: Ask<'_>, largest: u32) -> (i32, Option<String>) {
    (i32::try_from(page.size(largest)).unwrap_or(i32::MAX), page.token.map(str::to_owned))
}

pub(super) fn token(token: Option<&str>) -> Option<String> {
    token.filter(|token| !token.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use aws_sdk_ec2::config::interceptors::BeforeTransmitInterceptorContextRef;
    use aws_sdk_ec2::config::{BehaviorVersion, Config, ConfigBag, Credentials, Intercept, Region, RuntimeComponents};
    use aws_sdk_ec2::error::BoxError;

    use super::*;

    /// Notes where each request would go, and lets none through.
    #[derive(Debug, Clone, Default)]
    struct Stop(Arc<Mutex<Vec<String>>>);

    impl Intercept for Stop {
        fn name(&self) -> &'static str {
            "Stop"
        }
        fn read_before_transmit(
            &self,
            context: &BeforeTransmitInterceptorContextRef<'_>,
            _: &RuntimeComponents,
            _: &mut ConfigBag,
        ) -> Result<(), BoxError> {
            let request = context.request();
            let scope = request.headers().get("authorization").unwrap_or_default().split('/').nth(2);
            self.0.lock().expect("one thread").push(format!("{} {}", request.uri(), scope.unwrap_or_default()));
            Err("stopped".into())
        }
    }

    #[tokio::test]
    async fn each_request_goes_to_the_region_of_its_place_and_is_signed_for_it() {
        let stop = Stop::default();
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(Credentials::new("testing", "testing", None, None, "tests"))
            .interceptor(stop.clone());
        let sdk = aws_config::SdkConfig::builder().behavior_version(BehaviorVersion::latest()).build();
        let mut cloud = AwsCloud::with_config(&sdk, Vec::new());
        cloud.base.ec2 = aws_sdk_ec2::Client::from_conf(config.build());
        for region in ["eu-west-1", "cn-north-1"] {
            let place = Place::new("111111111111", region);
            let end = cloud.delete_snapshot(&place, "snap-1").await;
            assert!(!matches!(end, Effect::Done { .. }), "{end:?}");
        }
        let seen = stop.0.lock().expect("one thread").clone();
        assert_eq!(
            seen,
            ["https://ec2.eu-west-1.amazonaws.com/ eu-west-1", "https://ec2.cn-north-1.amazonaws.com.cn/ cn-north-1"]
        );
    }
}

//! Waits until an image that is being made ends, however long that takes; calls somebody when it takes too long.

use std::rc::Rc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::fact::{Draft, Fact, Need, StepId, Topic};
use crate::domain::observed::{Image, ImageState};
use crate::domain::place::{Place, Subject};
use crate::engine::context::{Context, Stop};
use crate::engine::drive::observer::Observer;
use crate::engine::drive::observer::Seen;
use crate::engine::drive::reachability::{afar, refused};

/// An image pending for this long is alarmed (EC2 guide: "sometimes up to 24 hours").
const PENDING_MAX: Duration = Duration::from_secs(24 * 3600);

/// An image whose state this version cannot read is waited for this long: AWS may know a new word for a while on the way.
const UNREADABLE_MAX: Duration = Duration::from_secs(3600);

/// An image that is being made.
pub(crate) struct Pending<'a> {
    pub shared: &'a Rc<Context>,
    pub run: &'a str,
    /// Whose step makes it.
    pub subject: &'a Subject,
    /// Where it is.
    pub place: &'a Place,
    /// `ami-...`
    pub image: &'a str,
    /// When it was called for.
    pub since: DateTime<Utc>,
    /// The step that makes it: the alarm stands beside it, and it goes on.
    pub step: &'a StepId,
    /// Whether the alarm is raised already.
    pub alarmed: bool,
    /// Whether an image is this one, by its name: an answer may name another.
    pub bears: &'a dyn Fn(&Image) -> bool,
}

/// How it ended.
pub(crate) struct End {
    /// EC2's word, or `gone`.
    pub state: &'static str,
    /// Why it is no good, if it is not.
    pub bad: Option<String>,
    /// As it was seen last.
    pub image: Option<Image>,
    /// Whether it was ever seen.
    pub seen: bool,
}

impl Pending<'_> {
    /// Waits for its end.
    ///
    /// # Errors
    /// [`Stop::Lost`]: it is in another account, which has not let us look for too long. [`Stop::Mistaken`]: the id that
    /// AWS answered with is another image's.
    pub async fn end(&self) -> Result<End, Stop> {
        let Self { shared, run, subject, place, image, since, step, mut alarmed, bears } = *self;
        let watch = shared.of::<Observer>().image(shared, place, image);
        // What passed before is told by the wall clock; the rest is not, so that setting it forward alarms nobody.
        let passed = (shared.clock.now() - since).to_std().unwrap_or_default();
        let mut ever = false;
        let alarm_at = shared.clock.instant() + PENDING_MAX.saturating_sub(passed);
        let mut unreadable = None;
        loop {
            let overdue = shared.clock.sleep(alarm_at.saturating_duration_since(shared.clock.instant()));
            let seen = async {
                tokio::select! {
                    biased;
                    seen = watch.recv() => Ok(Some(seen)),
                    why = watch.lost(), if afar(&subject.place, place) => Err(Stop::Lost(refused(place, &why))),
                    () = overdue, if !alarmed => Ok(None),
                }
            };
            match shared.unless_drained(seen).await?? {
                Some(Seen::There(seen, ..)) if !seen.name.is_empty() && !bears(&seen) => {
                    return Err(Stop::Mistaken(format!("AWS answered with {image}, which is `{}`", seen.name)));
                }
                Some(Seen::There(seen, ..)) => {
                    ever = true;
                    if let Some(bad) = judge(&seen) {
                        return Ok(End { state: seen.state.as_str(), bad, image: Some(seen), seen: ever });
                    }
                    // What cannot be judged ends: nobody knows what it is waited for.
                    let now = shared.clock.instant();
                    unreadable = (!readable(seen.state)).then(|| unreadable.unwrap_or(now));
                    if unreadable.is_some_and(|since| now - since >= UNREADABLE_MAX) {
                        let what = seen.odd.clone().unwrap_or_else(|| format!("it is {}", seen.state.as_str()));
                        let bad = format!("the image {image} cannot be judged for an hour: {what}. It is kept");
                        return Ok(End { state: seen.state.as_str(), bad: Some(bad), image: Some(seen), seen: ever });
                    }
                }
                Some(Seen::Unreadable(why)) => {
                    ever = true;
                    let now = shared.clock.instant();
                    let since = *unreadable.get_or_insert(now);
                    if now - since >= UNREADABLE_MAX {
                        let bad = format!("the image {image} cannot be judged for an hour: {why}. It is kept");
                        return Ok(End {
                            state: ImageState::Unknown.as_str(),
                            bad: Some(bad),
                            image: None,
                            seen: ever,
                        });
                    }
                }
                Some(Seen::Gone) => {
                    let bad = Some(format!("the image {image} is gone"));
                    return Ok(End { state: "gone", bad, image: None, seen: ever });
                }
                None => {
                    alarmed = true;
                    let why = format!("the image {image} is pending for 24 h; look at it in the EC2 console");
                    let need = Need { image: Some(image.to_owned()), ..Need::of(why) };
                    let draft = Draft::of(run, subject, Fact::StepNeedsPerson(need));
                    shared.record_result(&[draft.about(Topic::Pending(step.clone()))]).await?;
                }
            }
        }
    }
}

/// Whether it is known where an image in this state is on its way.
fn readable(state: ImageState) -> bool {
    !matches!(state, ImageState::Unknown | ImageState::Transient)
}

/// The end that `image` shows, if it shows one.
fn judge(image: &Image) -> Option<Option<String>> {
    match image.state {
        ImageState::Available => Some(None),
        ImageState::Disabled => Some(Some(format!("somebody disabled the image {}", image.id))),
        state if state.dead() => {
            let why = image.state_reason.as_deref().unwrap_or("AWS gives no reason");
            Some(Some(format!("the image {} is {}: {why}", image.id, state.as_str())))
        }
        _ => None,
    }
}

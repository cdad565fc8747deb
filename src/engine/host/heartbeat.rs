//! One tick a second from tokio-cron-scheduler: its only use.
//!
//! A tick carries no meaning: what is due is computed from the wall clock by `domain::schedule`. The scheduler's
//! zone support freezes the UTC offset at creation, it loses jobs that are due together, and a job that panics
//! never runs again; so there is a single UTC job, and its closure only sends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc::Sender;
use tokio_cron_scheduler::{Job, JobScheduler};

/// Every second (six fields: the only form it reads).
const EVERY_SECOND: &str = "* * * * * *";

/// The running heartbeat.
pub struct Heartbeat {
    scheduler: JobScheduler,
    stopped: Arc<AtomicBool>,
}

/// Starts to send a tick a second to `tx`, which should hold a single one: a full channel means that the engine
/// has a tick waiting already, so a further one is dropped.
///
/// # Errors
/// What the scheduler says.
pub async fn start(tx: Sender<()>) -> Result<Heartbeat, String> {
    let stopped = Arc::new(AtomicBool::new(false));
    let silent = Arc::clone(&stopped);
    let job = Job::new(EVERY_SECOND, move |_, _| {
        if !silent.load(Ordering::Relaxed) {
            // Full or closed: nobody needs this tick.
            let _ = tx.try_send(());
        }
    });
    let failed = |e: tokio_cron_scheduler::JobSchedulerError| format!("the heartbeat could not be started: {e}");
    let scheduler = JobScheduler::new().await.map_err(failed)?;
    scheduler.add(job.map_err(failed)?).await.map_err(failed)?;
    scheduler.start().await.map_err(failed)?;
    Ok(Heartbeat { scheduler, stopped })
}

impl Heartbeat {
    /// Sends no further tick. The scheduler's own shutdown does not wait for its tasks; nothing depends on it.
    pub async fn stop(mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        let _ = self.scheduler.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ticks_until_stopped() {
        let (tx, mut rx) = tokio::sync::mpsc::channel(1);
        let heartbeat = start(tx).await.expect("starts");
        assert_eq!(rx.recv().await, Some(()));
        assert_eq!(rx.recv().await, Some(()));
        heartbeat.stop().await;
        while rx.try_recv().is_ok() {}
        assert!(rx.try_recv().is_err());
    }
}

//! One tick a second from tokio-cron-scheduler: its only use.

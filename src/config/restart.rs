//! Which settings a running daemon cannot change.

use super::Settings;

impl Settings {
    /// The keys that differ in `new` and take a restart: what is open (state directory, cloud) or bears our name.
    /// `daemon.drain_deadline` and `log.level` apply at once.
    #[must_use]
    pub fn needs_restart(&self, new: &Self) -> Vec<&'static str> {
        let differs = [
            ("daemon.name", self.daemon.name != new.daemon.name),
            ("daemon.state_dir", self.daemon.state_dir != new.daemon.state_dir),
            ("daemon.instance", self.daemon.instance != new.daemon.instance),
            ("cloud.backend", self.cloud.backend != new.cloud.backend),
            ("cloud.api_share", self.cloud.api_share.to_bits() != new.cloud.api_share.to_bits()),
            ("cloud.visible_within", self.cloud.visible_within != new.cloud.visible_within),
            ("cloud.status_lag", self.cloud.status_lag != new.cloud.status_lag),
            ("cloud.shutdown_limit", self.cloud.shutdown_limit != new.cloud.shutdown_limit),
            ("cloud.trust_snapshot_time", self.cloud.trust_snapshot_time != new.cloud.trust_snapshot_time),
            ("log.format", self.log.format != new.log.format),
            ("accounts", self.accounts != new.accounts),
            ("http.listen", self.http.listen != new.http.listen),
        ];
        differs.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }
}

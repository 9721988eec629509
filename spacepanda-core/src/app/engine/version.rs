//! When a group moves up to a greater version of the protocol.

use super::server::Server;
use crate::state::mls::{Change, PackageFacts};

impl Server {
    /// `change`; or, if that is nothing, the stand moving up to the greatest version that all can speak.
    pub(super) fn or_move_up(&self, change: Change) -> Change {
        if change != Change::default() {
            return change;
        }
        Change { version: self.stand_group().and_then(|group| group.can_move_to()), ..change }
    }

    /// Whether the owner of a key package can speak the stand's version. A commit that added somebody
    /// who cannot would be refused.
    pub(super) fn speaks_here(&self, facts: &PackageFacts) -> bool {
        self.stand_group().is_none_or(|group| facts.versions.contains(&group.version()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{
        base::{DeviceId, Secret, ServerId, Timestamp},
        state::{
            identity::{DeviceCertificate, KeyPair},
            mls::{self, Group, PackageUse},
        },
    };

    fn standing_on(group: Group) -> Server {
        let mut server = Server::new(ServerId::new([1; 32]), 1);
        server.stand = Some(group.state_id());
        server.groups.insert(group.state_id(), group);
        server
    }

    #[test]
    fn a_group_moves_up_where_nothing_else_is_to_be_done() {
        let server = standing_on(Group::that_can_move_up());
        assert_eq!(server.or_move_up(Change::default()).version, Some(2));
        let removal = Change { removes: vec![DeviceId::new([1; 32])], ..Change::default() };
        assert_eq!(server.or_move_up(removal.clone()), removal);
    }

    #[test]
    fn a_package_is_passed_over_whose_owner_cannot_speak_the_version() {
        let keys = KeyPair::from_secret(Secret::new([2; 32]));
        let device = DeviceId::new(*keys.public());
        let certificate = DeviceCertificate::issue(&keys, device, Timestamp::from_micros(1));
        let seed = Secret::new([3; 32]);
        let made = mls::key_package(&keys, &certificate, PackageUse::Once, &seed).unwrap();
        let mut facts = mls::package_facts(&made.package).unwrap();
        let server = standing_on(Group::that_can_move_up());
        assert!(server.speaks_here(&facts));
        facts.versions = [2].into();
        assert!(!server.speaks_here(&facts));
    }
}

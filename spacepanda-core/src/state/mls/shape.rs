//! The shape of MLS bytes (RFC 9420), looked at before OpenMLS allocates for them: its lists hold items
//! that take many times their bytes, so no list may be longer than an honest one.
//!
//! Nothing else is judged: whatever passes is decoded, and refused for its own reason.

use super::MlsError;
use crate::base::limits::{ADDITIONS_PER_COMMIT_MAX, LEAVES_MAX};

/// Nodes of a tree with as many leaves as a group may have.
const NODES_MAX: usize = 2 * LEAVES_MAX.next_power_of_two() - 1;
/// Additions, removals, and what else there may be.
const PROPOSALS_MAX: usize = ADDITIONS_PER_COMMIT_MAX + LEAVES_MAX + 64;
/// Extensions of a leaf, a package or a group.
const EXTENSIONS_MAX: usize = 64;
/// Nodes on the way from a leaf to the root.
const PATH_LEN_MAX: usize = 32;

/// Checks a ratchet tree (RFC 9420, 7.8).
pub(super) fn check_tree(bytes: &[u8]) -> Result<(), MlsError> {
    whole(bytes, Walk::tree).ok_or(MlsError::Malformed("tree"))
}

/// Checks a message that is a commit, welcome or key package (RFC 9420, 6). Of others it says nothing:
/// they hold no lists.
pub(super) fn check_message(bytes: &[u8], what: &'static str) -> Result<(), MlsError> {
    whole(bytes, Walk::message).ok_or(MlsError::Malformed(what))
}

fn whole<'a>(bytes: &'a [u8], read: impl FnOnce(&mut Walk<'a>) -> Option<()>) -> Option<()> {
    let mut walk = Walk(bytes);
    read(&mut walk)?;
    walk.0.is_empty().then_some(())
}

/// What is left to be looked at. Every step takes some of it, or says that it is too short.
struct Walk<'a>(&'a [u8]);

impl<'a> Walk<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn skip(&mut self, len: usize) -> Option<()> {
        self.take(len).map(|_| ())
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|taken| taken[0])
    }

    fn code(&mut self) -> Option<u16> {
        self.take(2).map(|taken| u16::from_be_bytes([taken[0], taken[1]]))
    }

    /// What is in a vector: its length is in 6, 14 or 30 bits (RFC 9420, 2.1.2).
    fn vector(&mut self) -> Option<Walk<'a>> {
        let first = self.byte()?;
        let more = match first >> 6 {
            0 => 0,
            1 => 1,
            2 => 3,
            _ => return None,
        };
        let len = self
            .take(more)?
            .iter()
            .fold(usize::from(first & 0x3f), |len, byte| len << 8 | usize::from(*byte));
        self.take(len).map(Walk)
    }

    fn vectors(&mut self, count: usize) -> Option<()> {
        (0..count).try_for_each(|_| self.vector().map(|_| ()))
    }

    /// A vector of at most `max` items.
    fn list(&mut self, max: usize, item: impl Fn(&mut Self) -> Option<()>) -> Option<()> {
        let mut list = self.vector()?;
        for _ in 0..max {
            if list.0.is_empty() {
                break;
            }
            item(&mut list)?;
        }
        list.0.is_empty().then_some(())
    }

    fn optional(&mut self, value: impl Fn(&mut Self) -> Option<()>) -> Option<()> {
        match self.byte()? {
            0 => Some(()),
            1 => value(self),
            _ => None,
        }
    }

    fn tree(&mut self) -> Option<()> {
        self.list(NODES_MAX, |tree| {
            tree.optional(|node| match node.byte()? {
                1 => node.leaf(),
                2 => node.vectors(3),
                _ => None,
            })
        })
    }

    /// Two keys, a credential, five lists of codes, where it comes from, extensions, a signature.
    fn leaf(&mut self) -> Option<()> {
        self.vectors(2)?;
        self.skip(2)?;
        self.vectors(1 + 5)?;
        match self.byte()? {
            1 => self.skip(16)?,
            2 => {}
            3 => self.vectors(1)?,
            _ => return None,
        }
        self.extensions()?;
        self.vectors(1)
    }

    fn extensions(&mut self) -> Option<()> {
        self.list(EXTENSIONS_MAX, |extension| {
            extension.skip(2)?;
            extension.vectors(1)
        })
    }

    fn message(&mut self) -> Option<()> {
        self.skip(2)?;
        match self.code()? {
            1 => self.public_message(),
            3 => self.welcome(),
            5 => self.package(),
            _ => {
                self.0 = &[];
                Some(())
            }
        }
    }

    fn package(&mut self) -> Option<()> {
        self.skip(4)?;
        self.vectors(1)?;
        self.leaf()?;
        self.extensions()?;
        self.vectors(1)
    }

    fn welcome(&mut self) -> Option<()> {
        self.skip(2)?;
        self.list(ADDITIONS_PER_COMMIT_MAX, |secrets| secrets.vectors(3))?;
        self.vectors(1)
    }

    /// Group, epoch, sender, authenticated data; then, if it is a commit, its proposals and its path,
    /// and what proves it.
    fn public_message(&mut self) -> Option<()> {
        self.vectors(1)?;
        self.skip(8)?;
        if matches!(self.byte()?, 1 | 2) {
            self.skip(4)?;
        }
        self.vectors(1)?;
        if self.byte()? != 3 {
            return None;
        }
        self.list(PROPOSALS_MAX, |proposals| match proposals.byte()? {
            1 => proposals.proposal(),
            2 => proposals.vectors(1),
            _ => None,
        })?;
        self.optional(Self::path)?;
        // Signature, confirmation, and of a member the proof of membership.
        self.vectors(2)?;
        if self.0.is_empty() { Some(()) } else { self.vectors(1) }
    }

    fn path(&mut self) -> Option<()> {
        self.leaf()?;
        self.list(PATH_LEN_MAX, |node| {
            node.vectors(1)?;
            node.list(LEAVES_MAX, |secret| secret.vectors(2))
        })
    }

    fn proposal(&mut self) -> Option<()> {
        match self.code()? {
            1 => self.package(),
            2 => self.leaf(),
            3 => self.skip(4),
            4 => self.pre_shared_key(),
            5 => {
                self.vectors(1)?;
                self.skip(4)?;
                self.extensions()
            }
            7 => self.extensions(),
            // The removal of oneself.
            10 => Some(()),
            // An external init, and kinds of no RFC.
            _ => self.vectors(1),
        }
    }

    fn pre_shared_key(&mut self) -> Option<()> {
        match self.byte()? {
            1 => self.vectors(2),
            2 => {
                self.skip(1)?;
                self.vectors(1)?;
                self.skip(8)?;
                self.vectors(1)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{base::decoder::Sampler, state::mls::decoders::decoders};

    fn vector(item: &[u8], times: usize) -> Vec<u8> {
        let len = u32::try_from(item.len() * times).unwrap();
        [&(len | 1 << 31).to_be_bytes()[..], &item.repeat(times)].concat()
    }

    #[test]
    fn what_honest_members_write_passes() {
        for decoder in decoders() {
            for sample in (decoder.samples)(&mut Sampler::new(1)) {
                match decoder.name {
                    "mls tree" => assert!(check_tree(&sample).is_ok()),
                    "mls commit" | "mls welcome" | "mls key package" | "mls message" => {
                        assert!(check_message(&sample, decoder.name).is_ok(), "{}", decoder.name);
                    }
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn a_list_is_as_long_as_an_honest_one_at_most() {
        assert!(check_tree(&vector(&[0], NODES_MAX)).is_ok());
        assert!(check_tree(&vector(&[0], NODES_MAX + 1)).is_err());
        let extensions = |count| vector(&[0, 0, 0], count);
        assert!(Walk(&extensions(EXTENSIONS_MAX)).extensions().is_some());
        assert!(Walk(&extensions(EXTENSIONS_MAX + 1)).extensions().is_none());
    }

    #[test]
    fn a_length_beyond_the_bytes_is_refused() {
        for bytes in [&[0xbf, 0xff, 0xff, 0xff, 0][..], &[0xff], &[0x80], &[]] {
            assert!(check_tree(bytes).is_err(), "{bytes:02x?}");
        }
    }
}

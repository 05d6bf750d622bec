//! One hash over many: a Merkle tree as [RFC 6962](https://www.rfc-editor.org/rfc/rfc6962#section-2.1) has it, with BLAKE3. Pure.
//!
//! A leaf and a node are hashed behind different bytes, so neither can stand for the other, and the tree's form follows from how many leaves
//! there are.

/// A hash.
pub type Hash = [u8; 32];

/// Before what a leaf is made of.
pub const LEAF: u8 = 0;

/// Before two hashes.
const NODE: u8 = 1;

/// Bytes of a leaf's hash that name it where all of them would be too many.
pub const MARK_BYTES: usize = 4;

fn node(left: &Hash, right: &Hash) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[NODE]).update(left).update(right);
    *hasher.finalize().as_bytes()
}

/// A tree that grows by its leaves.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Whole trees, the greatest first, each with how many leaves it has as a power of two.
    whole: Vec<(u32, Hash)>,
}

impl Tree {
    /// Adds a leaf.
    pub fn add(&mut self, leaf: Hash) {
        let mut one = (0, leaf);
        while let Some((height, left)) = self.whole.pop_if(|(height, _)| *height == one.0) {
            one = (height + 1, node(&left, &one.1));
        }
        self.whole.push(one);
    }

    /// The hash over all leaves; of none, the hash of nothing.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut whole = self.whole.iter().rev().map(|(_, hash)| *hash);
        let Some(last) = whole.next() else { return *blake3::hash(&[]).as_bytes() };
        whole.fold(last, |right, left| node(&left, &right))
    }
}

impl FromIterator<Hash> for Tree {
    fn from_iter<I: IntoIterator<Item = Hash>>(leaves: I) -> Self {
        let mut tree = Self::default();
        leaves.into_iter().for_each(|leaf| tree.add(leaf));
        tree
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As the RFC says it.
    fn plain(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => *blake3::hash(&[]).as_bytes(),
            [one] => *one,
            many => {
                let half = many.len().next_power_of_two() / 2;
                node(&plain(&many[..half]), &plain(&many[half..]))
            }
        }
    }

    proptest! {
        #[test]
        fn a_tree_that_grew_is_the_tree_of_the_rfc(leaves in proptest::collection::vec(any::<Hash>(), 0..70)) {
            prop_assert_eq!(leaves.iter().copied().collect::<Tree>().root(), plain(&leaves));
        }

        #[test]
        fn another_leaf_one_less_or_another_order_is_another_root(mut leaves in proptest::collection::vec(any::<Hash>(), 2..40), at in any::<prop::sample::Index>()) {
            let root = leaves.iter().copied().collect::<Tree>().root();
            let at = at.index(leaves.len());
            let mut less = leaves.clone();
            less.remove(at);
            prop_assert_ne!(less.iter().copied().collect::<Tree>().root(), root);
            leaves[at][0] ^= 1;
            prop_assert_ne!(leaves.iter().copied().collect::<Tree>().root(), root);
        }
    }
}

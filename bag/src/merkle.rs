//! The hash tree of RFC 9162: one root for all records of a service, and a proof of a few hashes that one record was among
//! them. Leaves are pushed as they are read; no more than one hash for each level is kept.

use sha2::{Digest, Sha256};

pub type Hash = [u8; 32];

pub fn leaf(record: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(record);
    hasher.finalize().into()
}

pub fn node(left: &Hash, right: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([1]);
    hasher.update(left);
    hasher.update(right);
    hasher.finalize().into()
}

/// Roots of full subtrees, largest first: one for each bit that is set in the count of leaves.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    leaves: u64,
    peaks: Vec<Hash>,
}

impl Tree {
    pub fn new() -> Self {
        Tree::default()
    }

    /// Adds a record: a line without its end.
    pub fn push(&mut self, record: &[u8]) {
        self.push_leaf(leaf(record));
    }

    pub fn push_leaf(&mut self, leaf: Hash) {
        let mut hash = leaf;
        // As in binary counting: each carry joins two subtrees of one size.
        let mut carries = self.leaves.trailing_ones();
        while carries > 0 {
            if let Some(left) = self.peaks.pop() {
                hash = node(&left, &hash);
            }
            carries -= 1;
        }
        self.peaks.push(hash);
        self.leaves += 1;
    }

    pub fn leaves(&self) -> u64 {
        self.leaves
    }

    /// Adds a run that begins where this tree ends.
    pub fn append(&mut self, run: &Run) {
        for (level, hash) in &run.nodes {
            let mut hash = *hash;
            for _ in 0..(self.leaves >> level).trailing_ones() {
                if let Some(left) = self.peaks.pop() {
                    hash = node(&left, &hash);
                }
            }
            self.peaks.push(hash);
            self.leaves += 1 << level;
        }
    }

    /// The root; of no leaves, the hash of nothing.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return Sha256::digest([]).into() };
        peaks.fold(*last, |right, left| node(left, &right))
    }
}

/// Leaves from somewhere in the middle of a tree on: what can be hashed without knowing what comes before. So files are
/// read in parallel, and each is a run.
#[derive(Debug, Clone)]
pub struct Run {
    /// The number of the next leaf.
    next: u64,
    /// Full subtrees, from left to right, each with its height.
    nodes: Vec<(u32, Hash)>,
}

impl Run {
    /// A run whose first leaf is number `start` of the tree, counted from 0.
    pub fn at(start: u64) -> Self {
        Run { next: start, nodes: Vec::new() }
    }

    pub fn push(&mut self, record: &[u8]) {
        let (mut level, mut hash) = (0, leaf(record));
        // A right child joins its left sibling, if that is in the run.
        while self.next >> level & 1 == 1
            && let Some((_, left)) = self.nodes.pop_if(|(height, _)| *height == level)
        {
            hash = node(&left, &hash);
            level += 1;
        }
        self.nodes.push((level, hash));
        self.next += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition in the RFC, word for word: split at the largest power of two below the count.
    fn defined(leaves: &[Vec<u8>]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [one] => leaf(one),
            many => {
                let split = 1 << (usize::BITS - 1 - (many.len() - 1).leading_zeros());
                node(&defined(&many[..split]), &defined(&many[split..]))
            }
        }
    }

    #[test]
    fn roots_are_those_of_the_test_vectors_of_certificate_transparency() {
        let leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut tree = Tree::new();
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(hex::encode(tree.root()), empty);
        for (data, root) in leaves.iter().zip(roots) {
            tree.push(&hex::decode(data).unwrap());
            assert_eq!(hex::encode(tree.root()), root);
        }
    }

    #[test]
    fn a_tree_that_is_streamed_is_the_tree_of_the_definition() {
        let leaves: Vec<Vec<u8>> = (0..300_u32).map(|n| n.to_be_bytes().to_vec()).collect();
        let mut tree = Tree::new();
        for (n, data) in leaves.iter().enumerate() {
            tree.push(data);
            assert_eq!(tree.root(), defined(&leaves[..=n]), "of {} leaves", n + 1);
        }
        assert_eq!(tree.leaves(), 300);
    }

    #[test]
    fn runs_that_are_hashed_apart_make_the_same_tree() {
        let leaves: Vec<Vec<u8>> = (0..70_u32).map(|n| n.to_be_bytes().to_vec()).collect();
        for first in 0..=leaves.len() {
            for second in first..=leaves.len() {
                let mut tree = Tree::new();
                for (from, to) in [(0, first), (first, second), (second, leaves.len())] {
                    let mut run = Run::at(from as u64);
                    leaves[from..to].iter().for_each(|data| run.push(data));
                    tree.append(&run);
                }
                assert_eq!(tree.root(), defined(&leaves), "cut at {first} and {second}");
            }
        }
    }
}

//! The ids of a table, 16 bytes each, in the order that its file has them in: what references are looked up in.

use std::sync::Arc;

/// The ids of a table of a service, if they are in the bag.
pub type IdsOf<'a> = &'a dyn Fn((&str, &str)) -> Option<Arc<Ids>>;

/// Sorted. Of postings also how many entries each is said to have.
#[derive(Debug, Default)]
pub struct Ids {
    ids: Vec<u128>,
    told: Vec<u32>,
}

impl Ids {
    pub fn push(&mut self, id: u128) {
        self.ids.push(id);
    }

    pub fn push_told(&mut self, count: u32) {
        self.told.push(count);
    }

    pub fn find(&self, id: u128) -> Option<usize> {
        self.ids.binary_search(&id).ok()
    }

    /// As `find`, beginning where the last one was found: files that were written in one order refer in one order, more or
    /// less.
    pub fn find_near(&self, id: u128, near: &mut usize) -> Option<usize> {
        if self.ids.get(*near) == Some(&id) {
            return Some(*near);
        }
        if self.ids.get(*near + 1) == Some(&id) {
            *near += 1;
            return Some(*near);
        }
        let found = self.find(id);
        *near = found.unwrap_or(*near);
        found
    }

    pub fn told(&self, index: usize) -> Option<u32> {
        self.told.get(index).copied()
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// A file that is out of order has been refused; what is looked up in it must still be found.
    pub fn close(&mut self) {
        if !self.ids.is_sorted() {
            let mut both: Vec<(u128, Option<u32>)> = self.ids.iter().enumerate().map(|(n, id)| (*id, self.told(n))).collect();
            both.sort_unstable();
            self.ids = both.iter().map(|(id, _)| *id).collect();
            self.told = both.iter().filter_map(|(_, told)| *told).collect();
        }
        self.ids.shrink_to_fit();
        self.told.shrink_to_fit();
    }
}

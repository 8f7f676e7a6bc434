//! Lists that a snapshot has in common with the layer below it.
//!
//! A Worker's snapshot adds a handful of functions to the thousands that the base snapshot knows. Its list therefore holds
//! those alone, in its file and in memory, and refers to the list of the layer below for the rest.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A list that begins with that of the layer below.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(serialize = "T: Serialize", deserialize = "T: Deserialize<'de>"))]
pub(crate) struct Layered<T> {
    /// Length of the list below.
    start: usize,
    own: Vec<T>,
    /// `None` in the lowest layer, and in what was just read from a file.
    #[serde(skip)]
    below: Option<Arc<Self>>,
}

impl<T> Default for Layered<T> {
    fn default() -> Self {
        Self { start: 0, own: vec![], below: None }
    }
}

impl<T: Clone> Layered<T> {
    /// The list below, if there is one, and what follows it.
    pub(crate) fn new(below: Option<Arc<Self>>, own: Vec<T>) -> Self {
        Self { start: below.as_ref().map_or(0, |b| b.len()), own, below }
    }

    /// `below` and what follows it, as a list that refers to it or is `whole` by itself.
    pub(crate) fn extended(below: &Arc<Self>, own: &[T], whole: bool) -> Self {
        if whole {
            Self::new(None, below.iter().chain(own).cloned().collect())
        } else {
            Self::new(Some(below.clone()), own.to_vec())
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.start + self.own.len()
    }

    pub(crate) fn get(&self, i: usize) -> Option<&T> {
        let mut list = self;
        while i < list.start {
            list = list.below.as_deref()?;
        }
        list.own.get(i - list.start)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        (0..self.len()).map_while(|i| self.get(i))
    }

    /// Puts what was read from a file upon the list below; `None` if it was not made there.
    pub(crate) fn upon(mut self, below: Option<&Arc<Self>>) -> Option<Arc<Self>> {
        self.below = below.cloned();
        (self.start == below.map_or(0, |b| b.len())).then(|| Arc::new(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upper_list_continues_the_lower_one() {
        let lower = Arc::new(Layered::new(None, vec!['a', 'b']));
        let middle = Arc::new(Layered::new(Some(lower.clone()), vec![]));
        let upper = Layered::new(Some(middle.clone()), vec!['c']);
        assert_eq!(upper.iter().collect::<String>(), "abc");
        assert_eq!((upper.len(), upper.get(3)), (3, None));

        let file = postcard::to_stdvec(&upper).unwrap();
        let read = || postcard::from_bytes::<Layered<char>>(&file).unwrap();
        assert_eq!(read().upon(Some(&middle)).unwrap().iter().collect::<String>(), "abc");
        assert!(read().upon(None).is_none());
        // What lacks its lower part has no end of it either.
        assert_eq!(read().get(0), None);
    }
}

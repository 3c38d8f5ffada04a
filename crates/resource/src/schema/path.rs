//! Paths of fields while an object is walked, printed as `spec.targets[0].baseUrl`.

use std::fmt;

/// A path that grows with the recursion, without allocating.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Path<'a> {
    /// The object itself.
    Root,
    /// A member of a map.
    Field(&'a Path<'a>, &'a str),
    /// A member of a map whose names are data, as validation rules write it.
    Key(&'a Path<'a>, &'a str),
    /// An element of a list.
    Index(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    pub(crate) fn field(&'a self, name: &'a str) -> Self {
        Path::Field(self, name)
    }

    pub(crate) fn key(&'a self, name: &'a str) -> Self {
        Path::Key(self, name)
    }

    pub(crate) fn index(&'a self, index: usize) -> Self {
        Path::Index(self, index)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Field(Path::Root, name) => formatter.write_str(name),
            Path::Field(parent, name) => write!(formatter, "{parent}.{name}"),
            Path::Key(parent, name) => write!(formatter, "{parent}[{name}]"),
            Path::Index(parent, index) => write!(formatter, "{parent}[{index}]"),
        }
    }
}

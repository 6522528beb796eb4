//! A piece of a request, small enough that several are in flight.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use rustix::io::Errno;

use super::disk::DiskFile;
use super::request::{ReadError, Request};
use super::target::{PAGE, ReadTarget};

/// Interrupted reads are tried again this often without a byte, then they fail: nothing here may go on for ever.
const MAX_RETRIES: u32 = 100;

/// What is left to read of a piece of a request.
pub(super) struct Chunk {
    /// Dropped before the request is, whose report promises that.
    target: ReadTarget,
    /// Pinnable memory that is read into and copied from, where the target itself is not.
    bounce: Option<ReadTarget>,
    offset: u64,
    /// Whether direct reads are tried.
    direct: bool,
    retries: u32,
    request: Arc<Request>,
}

/// What to do with a chunk after a read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Read on.
    Read,
    /// Read on, by way of other memory: the kernel cannot pin this.
    Bounce,
    /// All has arrived, or the request has failed.
    Over,
}

impl Chunk {
    pub(super) fn new(target: ReadTarget, offset: u64, direct: bool, request: Arc<Request>) -> Self {
        Self { target, bounce: None, offset, direct, retries: 0, request }
    }

    /// Whether the next read is direct.
    pub(super) fn is_direct(&self) -> bool {
        self.direct
            && self.offset.is_multiple_of(PAGE as u64)
            && self.bounce.as_ref().unwrap_or(&self.target).is_aligned()
    }

    /// Whether a direct read is possible if other memory is lent.
    pub(super) fn wants_bounce(&self, pinnable: bool) -> bool {
        self.direct && self.bounce.is_none() && !(pinnable && self.target.is_aligned())
    }

    /// Lends page memory of at least the chunk's length.
    pub(super) fn lend(&mut self, bounce: ReadTarget) {
        self.bounce = Some(bounce);
    }

    /// Gives back what was lent.
    pub(super) fn give_back(&mut self) -> Option<ReadTarget> {
        self.bounce.take()
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn request(&self) -> &Request {
        &self.request
    }

    /// The memory that the next read fills: whole pages if it is direct.
    pub(super) fn memory(&mut self) -> &mut [u8] {
        let direct = self.is_direct();
        let (bytes, pages) = (self.target.len(), self.target.len().next_multiple_of(PAGE));
        match &mut self.bounce {
            Some(bounce) => &mut bounce.pages_mut()[..if direct { pages } else { bytes }],
            None if direct => self.target.pages_mut(),
            None => self.target.bytes_mut(),
        }
    }

    /// Takes the result of a read into [`Self::memory`].
    pub(super) fn take(&mut self, result: io::Result<usize>, disk: &DiskFile) -> Next {
        let direct = self.is_direct();
        let path = || disk.path().to_path_buf();
        let error = match result {
            Ok(0) => ReadError::CutOff { path: path(), expected: self.request.end, found: self.offset },
            Ok(read) => {
                self.arrived(read, disk, direct);
                return if self.target.is_empty() { Next::Over } else { Next::Read };
            }
            Err(error) => match error.kind() {
                ErrorKind::Interrupted | ErrorKind::WouldBlock if self.retries < MAX_RETRIES => {
                    self.retries += 1;
                    return Next::Read;
                }
                _ if direct && self.bounce.is_none() && is(&error, Errno::FAULT) => return Next::Bounce,
                // This device wants more than pages, or this file system does not read all of a file this way.
                _ if direct && (is(&error, Errno::INVAL) || is(&error, Errno::OPNOTSUPP)) => {
                    self.direct = false;
                    return Next::Read;
                }
                _ => ReadError::Io { path: path(), offset: self.offset, error },
            },
        };
        self.request.fail(error);
        Next::Over
    }

    fn arrived(&mut self, read: usize, disk: &DiskFile, direct: bool) {
        // A direct read rounds up, and may bring bytes behind those that were asked for.
        let len = read.min(self.target.len());
        if let Some(bounce) = &mut self.bounce {
            self.target.bytes_mut()[..len].copy_from_slice(&bounce.pages_mut()[..len]);
        }
        if !direct {
            disk.forget(self.offset, len as u64);
        }
        self.target.advance(len);
        self.offset += len as u64;
        self.retries = 0;
        self.request.arrived(len as u64);
    }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

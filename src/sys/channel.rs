//! A channel between this process and a child: short messages that may carry a descriptor.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

use super::{Context, IoError};

/// One end of a channel. It closes at exec, which the other end sees.
#[derive(Debug)]
pub struct Channel {
    fd: OwnedFd,
}

/// What came through.
#[derive(Debug)]
pub struct Message {
    /// Its bytes, at most 512.
    pub bytes: Vec<u8>,
    /// A descriptor that came with it.
    pub fd: Option<OwnedFd>,
}

const LONGEST: usize = 512;

impl Channel {
    /// Two connected ends.
    pub fn pair() -> Result<(Channel, Channel), IoError> {
        let flags = SocketFlags::CLOEXEC;
        let (one, other) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
            .context("open a channel to", "a child")?;
        Ok((Channel { fd: one }, Channel { fd: other }))
    }

    /// Sends a message; a peer that has gone is no error, since nobody is left to care.
    pub fn send(&self, bytes: &[u8], fd: Option<BorrowedFd<'_>>) -> Result<(), IoError> {
        let bytes = &bytes[..bytes.len().min(LONGEST)];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let fds = fd.map(|fd| [fd]);
        if let Some(fds) = &fds {
            ancillary.push(SendAncillaryMessage::ScmRights(fds));
        }
        match rustix::net::sendmsg(&self.fd, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL) {
            Ok(_) | Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
            Err(error) => Err(error).context("write to", "a channel"),
        }
    }

    /// Waits for a message; `None` when the other end has closed.
    pub fn receive(&self) -> Result<Option<Message>, IoError> {
        let mut buffer = [0u8; LONGEST];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let mut slices = [IoSliceMut::new(&mut buffer)];
            match rustix::net::recvmsg(&self.fd, &mut slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
                Err(Errno::INTR) => {}
                Err(Errno::CONNRESET) => return Ok(None),
                other => break other.context("read from", "a channel")?,
            }
        };
        if received.bytes == 0 {
            return Ok(None);
        }
        let fd = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        });
        Ok(Some(Message { bytes: buffer[..received.bytes].to_vec(), fd }))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

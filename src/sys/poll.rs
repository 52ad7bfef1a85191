//! Looking at a descriptor, and waiting for it (poll(2)).

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Which of the events a descriptor has at this moment, and of those that nobody has to ask for
/// (hang-up, error); none where it cannot be told.
pub fn events_now(fd: impl AsFd, events: PollFlags) -> PollFlags {
    events_within(fd, events, Duration::ZERO)
}

/// The same, as soon as it has any; none after so long, or where somebody has sent a signal.
pub fn events_within(fd: impl AsFd, events: PollFlags, patience: Duration) -> PollFlags {
    let mut fds = [PollFd::new(&fd, events)];
    // Longer than the kernel can count is for ever.
    let patience = Timespec::try_from(patience).ok();
    match poll(&mut fds, patience.as_ref()) {
        Ok(_) => fds[0].revents(),
        Err(_) => PollFlags::empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_is_ready_when_something_is_in_it_or_nobody_is_at_its_other_end() {
        let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
        assert_eq!(events_now(&reader, PollFlags::IN), PollFlags::empty());
        assert_eq!(events_now(&writer, PollFlags::OUT), PollFlags::OUT);
        rustix::io::write(&writer, b"x").expect("it has room");
        assert_eq!(events_now(&reader, PollFlags::IN), PollFlags::IN);
        drop(writer);
        assert_eq!(events_now(&reader, PollFlags::IN), PollFlags::IN | PollFlags::HUP);
        assert_eq!(events_now(&reader, PollFlags::empty()), PollFlags::HUP);
    }
}

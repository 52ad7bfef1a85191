//! Looking at a descriptor without waiting for it (poll(2)).

use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Which of the events a descriptor has at this moment, and of those that nobody has to ask for
/// (hang-up, error); none where it cannot be told.
pub fn events_now(fd: impl AsFd, events: PollFlags) -> PollFlags {
    let mut fds = [PollFd::new(&fd, events)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    match poll(&mut fds, Some(&now)) {
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

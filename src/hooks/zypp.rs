//! The frames by which libzypp speaks with a commit plugin: a line with a command, headers, an empty line, a body, and a
//! NUL, on stdin and stdout. All that is of interest here is the command.

use std::io::{self, BufRead};

/// A frame from libzypp, by what a hook does on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// Packages are about to be installed or removed.
    CommitBegin,
    /// They have been.
    CommitEnd,
    /// There will be no other.
    Disconnect,
    /// Anything else.
    Other,
}

impl Frame {
    /// The frame that every frame is answered with.
    pub const ACKNOWLEDGED: &'static [u8] = b"ACK\n\n\0";
}

/// Reads the next frame; `None` where libzypp has gone.
pub fn read_frame(input: &mut impl BufRead) -> io::Result<Option<Frame>> {
    let mut bytes = Vec::new();
    input.read_until(0, &mut bytes)?;
    if bytes.pop() != Some(0) {
        return Ok(None);
    }
    let command = bytes.split(|byte| *byte == b'\n').find(|line| !line.is_empty()).unwrap_or_default();
    Ok(Some(match command {
        b"COMMITBEGIN" => Frame::CommitBegin,
        b"COMMITEND" => Frame::CommitEnd,
        b"_DISCONNECT" => Frame::Disconnect,
        _ => Frame::Other,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_told_by_their_command() {
        let mut input: &[u8] = b"PLUGINBEGIN\n\n\0COMMITBEGIN\ncontent-length:2\n\n{}\0\nCOMMITEND\n\n\0\0_DISCONNECT\n\n\0COMMITEND\n";
        let mut frames = Vec::new();
        while let Some(frame) = read_frame(&mut input).expect("memory can be read") {
            frames.push(frame);
        }
        let expected = [Frame::Other, Frame::CommitBegin, Frame::CommitEnd, Frame::Other, Frame::Disconnect];
        assert_eq!(frames, expected);
    }
}

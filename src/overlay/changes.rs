//! What an upper directory says differs from the directory it covers.

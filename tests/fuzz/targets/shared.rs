//! What every field target does with what it opened.

use skydose::field::{FieldError, FieldSource};

/// Values to read at most: a file may truthfully declare a large grid.
const MAX_VALUES: usize = 1 << 20;

/// Reads every small variable; what comes back must be the size asked for.
pub fn read_all(opened: Result<Vec<Box<dyn FieldSource>>, FieldError>) {
    for source in opened.into_iter().flatten() {
        for (index, variable) in source.variables().iter().enumerate() {
            let window = variable.whole(0);
            if window.len() <= MAX_VALUES {
                let mut out = vec![0.0; window.len()];
                // An error is a good answer; a panic is not.
                drop(source.read(index, &window, &mut out));
            }
        }
    }
}

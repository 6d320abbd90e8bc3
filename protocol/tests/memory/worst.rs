//! The worst shapes of bodies: what 64 KiB of them cost.

use allocation_counter::measure;

use crate::support::worst;

/// A body may cost this many times its own length.
const FACTOR: u64 = 64;

/// Holds S14.
#[test]
fn the_worst_64_kib_of_every_body_with_a_list_cost_64_times_as_much_at_most() {
    for input in worst::all() {
        let size = input.bytes.len() as u64;
        assert!(size <= worst::SIZE as u64 && size > worst::SIZE as u64 - 200, "{}: {size}", input.name);
        let mut accepted = false;
        let cost = measure(|| accepted = input.decode());
        assert!(
            accepted || input.name == "brackets",
            "{} {:?}: refused, so it tests nothing",
            input.name,
            input.codec
        );
        let times = cost.bytes_max / size;
        assert!(times < FACTOR, "{} {:?}: {times} times its {size} bytes", input.name, input.codec);
    }
}

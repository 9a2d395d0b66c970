//! The kernels' sources, carried in the program.

use super::nvrtc::Source;

/// Options of every compilation; those of the specialisation follow.
pub(super) const OPTIONS: [&str; 2] = ["--std=c++17", "--fmad=false"];

/// The entry points and what they include.
pub(super) const EXPOSURE: Source<'static> = Source {
    name: "exposure.cu",
    text: include_str!("../../../kernels/exposure.cu"),
    headers: &[
        ("abi.cuh", include_str!("../../../kernels/abi.cuh")),
        ("atmosphere.cuh", include_str!("../../../kernels/atmosphere.cuh")),
        ("axis.cuh", include_str!("../../../kernels/axis.cuh")),
        ("cell.cuh", include_str!("../../../kernels/cell.cuh")),
        ("fleet.cuh", include_str!("../../../kernels/fleet.cuh")),
        ("gather.cuh", include_str!("../../../kernels/gather.cuh")),
        ("geodesy.cuh", include_str!("../../../kernels/geodesy.cuh")),
        ("lane.cuh", include_str!("../../../kernels/lane.cuh")),
        ("level.cuh", include_str!("../../../kernels/level.cuh")),
        ("options.cuh", include_str!("../../../kernels/options.cuh")),
        ("path.cuh", include_str!("../../../kernels/path.cuh")),
        ("rolling.cuh", include_str!("../../../kernels/rolling.cuh")),
        ("sums.cuh", include_str!("../../../kernels/sums.cuh")),
        ("walk.cuh", include_str!("../../../kernels/walk.cuh")),
        ("warp.cuh", include_str!("../../../kernels/warp.cuh")),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_header_of_the_folder_is_carried_and_every_include_is_one_of_them() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels");
        let mut there: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| std::path::Path::new(name).extension().is_some_and(|ending| ending == "cuh"))
            .collect();
        there.sort();
        let carried: Vec<&str> = EXPOSURE.headers.iter().map(|(name, _)| *name).collect();
        assert_eq!(carried, there);
        for text in EXPOSURE.headers.iter().map(|(_, text)| *text).chain([EXPOSURE.text]) {
            for include in text.lines().filter_map(|line| line.strip_prefix("#include \"")) {
                assert!(carried.contains(&include.trim_end_matches('"')), "{include}");
            }
        }
    }
}

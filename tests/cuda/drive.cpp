// Runs the kernels, compiled for the CPU, over made-up flights and fields, and
// compares every figure with the plain reference; then once more with the
// field's times cut into the shortest windows, which must give the same bytes.
//
//   drive [flights [seed]]
//
// Prints a checksum of all figures; fails with one line a difference.
#include "shim/cuda_on_cpu.hpp"

#include <cinttypes>

#include "atmosphere.cuh"
#include "geodesy.cuh"
#include "reference.hpp"

extern "C" int skydose_host_launch(const char* kernel, unsigned grid, unsigned block, unsigned shared_bytes,
                                   void** args);

using namespace skydose;

namespace {

struct Random {
    std::uint64_t seed;
    double operator()() {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        return static_cast<double>(seed >> 33) / 2147483648.0;
    }
    unsigned below(unsigned n) { return static_cast<unsigned>((*this)() * n); }
};

// A field, flights and a program, as the device takes them and as the
// reference does.
struct Case {
    Random random;
    reference::Field field;
    reference::Program program;
    std::vector<std::vector<reference::Point>> points;
    std::vector<std::vector<unsigned>> phases;

    std::vector<double> tables;
    std::vector<std::vector<unsigned short>> halves;
    std::vector<Slab> slabs;
    std::vector<Flight> flights;
    std::vector<Anchor> anchors;
    std::vector<int> longitude, latitude;
    std::vector<u32> pressure, time;
    Evaluation e = {};

    u32 table(const std::vector<double>& values) {
        const u32 at = static_cast<u32>(tables.size());
        tables.insert(tables.end(), values.begin(), values.end());
        return at;
    }

    Axis axis(const std::vector<double>& nodes, bool even) {
        const double step = nodes.size() > 1 ? nodes[1] - nodes[0] : 1.0;
        return {nodes.front(), nodes.back(), nodes.front(), 1 / step, table(nodes), static_cast<u32>(nodes.size()),
                0, even ? 1u : 0u};
    }

    void make_grid() {
        const bool global = random.below(2) == 0;
        const bool even = random.below(2) == 0;
        field.times = {0, 1800, 3600, 9000};
        for (double& t : field.times) t += 1.6e9;
        for (unsigned i = 0; i < 12; ++i) field.latitudes.push_back(40 + (even ? i : i + 0.4 * random()));
        field.global = global;
        const unsigned columns = global ? 36 : 14;
        for (unsigned i = 0; i < columns; ++i) {
            field.longitudes.push_back(global ? -180 + 10.0 * i : -6 + (even ? i : i + 0.4 * random()));
        }
        field.columns = columns + (global ? 1 : 0);
        std::vector<double> pascals = {15000.00002, 20000, 23842.2718371, 30000.00004, 40000, 59999.99997};
        const bool even_levels = SKYDOSE_LEVELS == LEVELS_LINEAR && random.below(2) == 0;
        for (unsigned i = 0; even_levels && i < 6; ++i) pascals[i] = 15000 + 9000.0 * i;
        if (HYBRID) {
            const double b[] = {0, 0, 0.02, 0.1, 0.25, 0.5};
            for (unsigned i = 0; i < 6; ++i) field.hybrid.push_back({pascals[i] - b[i] * 101325, b[i]});
        } else {
            field.levels = pascals;
        }
        e.grid.latitude = axis(field.latitudes, even);
        e.grid.longitude = {axis(field.longitudes, global || even), global, global, 0, field.columns};
        std::vector<double> nodes = field.levels;
        if (SKYDOSE_LEVELS == LEVELS_LOG) {
            for (double& node : nodes) node = std::log(node);
        }
        for (const auto& [a, b] : field.hybrid) nodes.insert(nodes.end(), {a, b});
        e.grid.levels = axis(nodes, even_levels);
        e.grid.levels.len = static_cast<u32>(pascals.size());
        const u32 rows = static_cast<u32>(field.latitudes.size());
        e.grid.row = e.grid.row_points = field.columns;
        e.grid.plane_points = rows * field.columns;
        e.grid.stands_alone = LAYERED;
        e.grid.plane = LAYERED ? 0 : e.grid.plane_points;
        double narrow[2] = {1e300, 1e300};
        for (unsigned i = 1; i < rows; ++i) narrow[0] = std::min(narrow[0], field.latitudes[i] - field.latitudes[i - 1]);
        for (unsigned i = 1; i < columns; ++i) narrow[1] = std::min(narrow[1], field.longitudes[i] - field.longitudes[i - 1]);
        e.steps = {4 / narrow[1], 4 / narrow[0], LAYERED ? 32.0 : 4.0, 4.0 / 1800};
    }

    void make_program() {
        const unsigned extra = SKYDOSE_DENSITY == DENSITY_FIELD ? 2 : 0;
        program.lanes = CHANNELS - extra - (CHANNELS > 4 ? 1 : 0);  // one channel is padding
        program.temperature = extra ? static_cast<int>(program.lanes) : -1;
        program.humidity = extra ? static_cast<int>(program.lanes) + 1 : -1;
        program.dense = program.thin = program.dose_thin = program.log = 0;
        for (unsigned lane = 0; lane < program.lanes; ++lane) {
            const unsigned kind = random.below(3);
            if (DENSE && kind == 0) program.dense |= 1u << lane;
            if (DENSE && kind == 1) program.thin |= 1u << lane;
            if (DENSE && kind > 0) program.dose_thin |= 1u << lane;
            if (LOG && random.below(2) == 0) program.log |= 1u << lane;
            if (THRESHOLDS) {
                program.thresholds.push_back({lane, 0.5 + random()});
                if (lane % 2 == 0) program.thresholds.push_back({lane, 0.2 + random()});
            }
            if (ROLLING && lane % 3 == 0) program.rolling.push_back({static_cast<double>(lane), 200 + 900 * random()});
        }
        Program& p = e.program;
        p = {};
        p.lanes = program.lanes;
        p.temperature = static_cast<u32>(program.temperature);
        p.humidity = static_cast<u32>(program.humidity);
        p.dense = program.dense;
        p.thin = program.thin;
        p.dose_thin = program.dose_thin;
        p.log = program.log;
        std::vector<double> limits, windows;
        for (float& alert : p.alert) alert = INFINITY;
        for (u32& slot : p.rolling_slot) slot = NONE;
        for (const auto& [lane, value] : program.thresholds) {
            limits.insert(limits.end(), {static_cast<double>(lane), value});
            p.alert[lane] = std::min(p.alert[lane], std::nextafter(static_cast<float>(value), 0.0f));
        }
        for (const auto& [lane, window] : program.rolling) {
            p.rolling_slot[static_cast<unsigned>(lane)] = static_cast<u32>(windows.size());
            windows.push_back(window);
        }
        p.thresholds = static_cast<u32>(program.thresholds.size());
        p.threshold_table = table(limits);
        p.rolling = static_cast<u32>(windows.size());
        p.rolling_table = table(windows);
        for (unsigned phase = 0; phase < PHASES; ++phase) {
            program.flow[phase] = {{20000, 5.0 + phase}, {40000, 20.0 - phase}, {90000, 30.0}};
            if (phase == 0) program.flow[phase].resize(1);
            std::vector<double> pairs;
            for (const auto& [x, y] : program.flow[phase]) pairs.insert(pairs.end(), {x, y});
            p.flow_table[phase] = table(pairs);
            p.flow_len[phase] = static_cast<u32>(program.flow[phase].size());
        }
        p.at_dose = 1 + 4 * program.lanes;
        p.at_above = p.at_dose + (DOSE ? program.lanes : 0);
        p.stride = p.at_above + p.thresholds;
    }

    void make_slabs() {
        const unsigned levels = LAYERED ? 5 : 6;
        const std::size_t points_a_slab = static_cast<std::size_t>(levels) * e.grid.plane_points;
        for (unsigned t = 0; t < field.times.size(); ++t) {
            Slab slab = {};
            for (float& scale : slab.scale) scale = HALF ? std::ldexp(1.0f, -static_cast<int>(t)) : 1.0f;
            std::vector<float> values(points_a_slab * CHANNELS);
            std::vector<unsigned short> half(HALF ? values.size() : 0);
            for (std::size_t i = 0; i < values.size(); ++i) {
                const unsigned column = static_cast<unsigned>(i / CHANNELS % field.columns);
                const unsigned channel = static_cast<unsigned>(i % CHANNELS);
                if (field.global && column + 1 == field.columns) {
                    // The first column behind the last.
                    const std::size_t first = i - static_cast<std::size_t>(column) * CHANNELS;
                    values[i] = values[first];
                    if (HALF) half[i] = half[first];
                    continue;
                }
                float value = static_cast<float>(0.1 + random());
                if (MISSING && channel < program.lanes && random() < 0.002) value = NAN;
                if (static_cast<int>(channel) == program.temperature) value = 220 + 30 * value;
                if (static_cast<int>(channel) == program.humidity) value = 0.01f * value;
                if (HALF) {
                    // Bits near 224, 0.0078 and 0.25.
                    const unsigned base = value > 100 ? 0x5b00 : value < 0.02f ? 0x2000 : 0x3400;
                    half[i] = std::isnan(value) ? 0x7e00 : static_cast<unsigned short>(base + random.below(256));
                    value = skydose_float_of_half(half[i]) * slab.scale[channel];
                }
                values[i] = value;
            }
            std::vector<float> surface(HYBRID ? e.grid.plane_points : 0);
            for (std::size_t i = 0; i < surface.size(); ++i) {
                const std::size_t column = i % field.columns;
                surface[i] = field.global && column + 1 == field.columns ? surface[i - column]
                                                                         : static_cast<float>(95000 + 8000 * random());
            }
            field.values.push_back(values);
            field.surface.push_back(surface);
            halves.push_back(half);
            slabs.push_back(slab);
        }
        for (unsigned t = 0; t < slabs.size(); ++t) {
            slabs[t].values = reinterpret_cast<u64>(HALF ? static_cast<void*>(halves[t].data()) : field.values[t].data());
            slabs[t].surface_pa = HYBRID ? reinterpret_cast<u64>(field.surface[t].data()) : 0;
        }
    }

    // Puts waypoint `i` into the columns, and tells what the device makes of
    // it: seven decimals, or for every second 32 waypoints a fine grid of its
    // own. A level's pressure is rounded on the way, and the reference has it
    // as it was.
    reference::Point anchored(unsigned i, int lon, int lat, double pa, bool is_level, unsigned phase) {
        const double unit = std::ldexp(1.0, -24), pascal = 1.0 / 32768;
        if (i % WARP == 0) {
            Anchor anchor = {};
            anchor.pressure_pa = 1024.5;
            anchor.pressure_unit = static_cast<float>(pascal);
            if (random.below(2) == 0) {
                anchor.longitude_deg = std::floor(lon / 1e7) - 100;
                anchor.latitude_deg = std::floor(lat / 1e7) - 100;
                anchor.longitude_unit = anchor.latitude_unit = static_cast<float>(unit);
            }
            anchors.push_back(anchor);
        }
        Anchor& anchor = anchors.back();
        anchor.phases |= static_cast<u64>(phase) << (2 * (i % WARP));
        const u32 pressure_units = static_cast<u32>(std::lround((pa - anchor.pressure_pa) / pascal));
        pressure.push_back(pressure_units);
        const double p = is_level ? pa : anchor.pressure_pa + pascal * pressure_units;
        if (anchor.longitude_unit == 0.0f) {
            longitude.push_back(lon);
            latitude.push_back(lat);
            return {0, lon / 1e7, lat / 1e7, p};
        }
        double east = lon / 1e7;
        if (east < anchor.longitude_deg) east += 360;
        const u32 x = static_cast<u32>(std::lround((east - anchor.longitude_deg) / unit));
        const u32 y = static_cast<u32>(std::lround((lat / 1e7 - anchor.latitude_deg) / unit));
        longitude.push_back(static_cast<int>(x));
        latitude.push_back(static_cast<int>(y));
        return {0, wrap_longitude(anchor.longitude_deg + unit * x), anchor.latitude_deg + unit * y, p};
    }

    void make_flight(bool is_even) {
        const unsigned n = 1 + random.below(150);
        Flight flight = {};
        flight.base_s = 1.6e9 - 1200 + random.below(6000);
        flight.unit_s = 0.125f;
        flight.first_waypoint = static_cast<u32>(longitude.size());
        flight.len = n;
        flight.anchor = static_cast<u32>(anchors.size());
        flight.step = is_even ? 8 * (20 + random.below(80)) : 0;
        flight.time = is_even ? random.below(8) : static_cast<u32>(time.size());
        std::vector<reference::Point> way;
        std::vector<unsigned> labels;
        int lon = static_cast<int>((random() * 12 - 5) * 1e7), lat = static_cast<int>((41 + 10 * random()) * 1e7);
        if (field.global && random.below(3) == 0) lon = 1799000000;
        u32 pa = 20000 * 8192 + random.below(20000 * 8192), units = 0;
        const double strides[] = {3e7, 1.2e7, 4e6};
        const double stride = strides[random.below(3)];
        int east = static_cast<int>((random() - 0.5) * stride);
        int north = static_cast<int>((random() - 0.5) * stride / 4);
        // Some fly along a meridian or a parallel of the field, whose other
        // side has no weight.
        if (random.below(4) == 0) {
            lon = static_cast<int>(random() * 12 - 5) * 10000000;
            east = 0;
        }
        if (random.below(4) == 0) {
            lat = static_cast<int>(41 + 10 * random()) * 10000000;
            north = 0;
        }
        // Some fly along a level or a boundary of layers, whose pressure was
        // rounded on its way to the device.
        const bool is_level = !HYBRID && random.below(4) == 0;
        const double level_pa = is_level ? field.levels[random.below(6)] : 0.0;
        unsigned phase = random.below(4);
        for (unsigned i = 0; i < n; ++i) {
            if (random.below(12) == 0) phase = random.below(4);
            if (!is_level && i > 0 && random.below(3) == 0) pa = static_cast<u32>(pa + (random() - 0.5) * 3000 * 8192);
            units = is_even ? flight.time + i * flight.step : units + 8 + random.below(1200);
            if (!is_even) time.push_back(units);
            const reference::Point point = anchored(i, lon, lat, is_level ? level_pa : pa / 8192.0, is_level, phase);
            way.push_back({flight.base_s + 0.125 * units, point.longitude, point.latitude, point.pressure});
            labels.push_back(phase);
            lon += east;
            if (lon >= 1800000000) lon = static_cast<int>(lon - 3600000000LL);
            if (lon < -1800000000) lon = static_cast<int>(lon + 3600000000LL);
            lat += north;
        }
        flights.push_back(flight);
        points.push_back(way);
        phases.push_back(labels);
    }

    Case(unsigned count, std::uint64_t seed) : random{seed} {
        make_grid();
        make_program();
        make_slabs();
        for (unsigned i = 0; i < count; ++i) make_flight(i % 2 == 0);
        time.push_back(0);
        e.field.times = table(field.times);
        e.field.times_len = static_cast<u32>(field.times.size());
        e.tables = tables.data();
        e.fleet = {flights.data(), anchors.data(), longitude.data(), latitude.data(), pressure.data(), time.data(), nullptr,
                   static_cast<u32>(count), 0};
    }
};

// What the device leaves.
struct Result {
    std::vector<State> states;
    std::vector<float> previous, history_value;
    std::vector<double> figures, history_time, history_integral, rolling;
    std::vector<u32> counts;
};

void launch(const char* kernel, Evaluation& e, u32 warps) {
    void* args[] = {&e};
    const u32 blocks = (warps + WARPS_PER_BLOCK - 1) / WARPS_PER_BLOCK;
    if (skydose_host_launch(kernel, blocks, BLOCK_THREADS, 0, args) != 0) std::abort();
}

// `most` slabs a window.
Result evaluate(Case& c, u32 most) {
    Evaluation& e = c.e;
    const u32 count = e.fleet.count;
    Result r;
    r.states.assign(count, State{});
    r.previous.resize(static_cast<std::size_t>(count) * 2 * CHANNELS);
    r.figures.assign(static_cast<std::size_t>(count) * PHASES * e.program.stride, 0.0);
    r.counts.resize(count);
    r.rolling.resize(static_cast<std::size_t>(count) * std::max(1u, e.program.rolling));
    e.output = {};
    e.output.states = r.states.data();
    e.output.previous = r.previous.data();
    e.output.figures = r.figures.data();
    e.output.counts = r.counts.data();
    e.output.rolling = r.rolling.data();
    launch("skydose_count", e, count);
    u64 samples = 0;
    for (u32 i = 0; i < count; ++i) {
        c.flights[i].history = static_cast<u32>(samples);
        samples += r.counts[i];
    }
    if (ROLLING) {
        r.history_time.resize(samples);
        r.history_value.resize(samples * e.program.rolling);
        r.history_integral.resize(samples * e.program.rolling);
        e.output.history_time = r.history_time.data();
        e.output.history_value = r.history_value.data();
        e.output.history_integral = r.history_integral.data();
        e.output.history_len = samples;
    }
    for (u32 first = 0; first + 1 < c.slabs.size(); first += most - 1) {
        // Only this window's slabs are in reach.
        const u32 len = std::min<u32>(most, static_cast<u32>(c.slabs.size()) - first);
        const std::vector<Slab> window(c.slabs.begin() + first, c.slabs.begin() + first + len);
        e.field.slabs = window.data();
        e.field.first = first;
        e.field.slabs_len = len;
        launch("skydose_evaluate", e, count);
    }
    if (ROLLING) launch("skydose_roll", e, count * e.program.rolling);
    return r;
}

struct Check {
    unsigned differences = 0;
    double largest = 0;

    void figure(const char* name, u32 flight, u32 phase, u32 lane, double actual, double expected, double tolerance) {
        const double difference = std::abs(actual - expected) / std::max(std::abs(expected), 1e-3);
        if (actual == expected || (std::isnan(actual) && std::isnan(expected))) return;
        if (difference <= tolerance) {
            largest = std::max(largest, difference);
            return;
        }
        if (++differences <= 20) {
            std::printf("flight %u phase %u lane %u: %s is %.17g, expected %.17g\n", flight, phase, lane, name, actual,
                        expected);
        }
    }
};

void compare(const Case& c, const Result& r, Check& check) {
    const Program& p = c.e.program;
    const reference::Reference plain(c.field, c.program);
    for (u32 i = 0; i < c.e.fleet.count; ++i) {
        const reference::Answer expected = plain.of(c.points[i], c.phases[i]);
        check.figure("number of samples", i, 0, 0, r.states[i].samples, expected.samples, 0);
        check.figure("count of samples", i, 0, 0, r.counts[i], expected.samples, 0);
        for (u32 phase = 0; phase < PHASES; ++phase) {
            const reference::Figures& f = expected.phases[phase];
            const bool begun = r.states[i].phases >> phase & 1;
            check.figure("met", i, phase, 0, begun, f.begun, 0);
            if (!begun || !f.begun) continue;
            const double* figures = r.figures.data() + (static_cast<std::size_t>(i) * PHASES + phase) * p.stride;
            for (u32 lane = 0; lane < p.lanes; ++lane) {
                const double sampled = figures[0] + figures[1 + 3 * p.lanes + lane];
                check.figure("time sampled", i, phase, lane, sampled, f.sampled[lane], 1e-9);
                check.figure("dosage", i, phase, lane, figures[1 + lane], f.dosage[lane], 1e-6);
                check.figure("peak", i, phase, lane, figures[1 + p.lanes + lane], f.peak[lane], 1e-6);
                check.figure("time of the peak", i, phase, lane, figures[1 + 2 * p.lanes + lane], f.peak_time[lane], 1e-12);
                if (DOSE) check.figure("dose", i, phase, lane, figures[p.at_dose + lane], f.dose[lane], 1e-6);
            }
            for (u32 k = 0; k < p.thresholds; ++k) {
                // Where the value is level, its rounding moves the crossing.
                const double above = figures[p.at_above + k];
                if (above >= f.above_least[k] && above <= f.above_most[k]) continue;
                check.figure("time above", i, phase, k, above + 600, f.above[k] + 600, 2e-5);
            }
        }
        for (u32 slot = 0; slot < p.rolling; ++slot) {
            const double mean = r.rolling[static_cast<std::size_t>(i) * p.rolling + slot] / c.program.rolling[slot][1];
            const double at_least = expected.rolling[slot];
            if (std::isinf(mean) && std::isnan(at_least)) continue;
            check.figure("rolling peak", i, 0, slot, mean, at_least, 1e-4);
            if (mean < at_least - 1e-6) check.figure("rolling peak (below)", i, 0, slot, mean, at_least, 0);
        }
    }
}

// Small arcs by their series against the full formula: within 1.2e-8 degrees,
// a millimetre, wherever the series says that it holds.
void check_arcs(Random random, Check& check) {
    double largest = 0;
    u32 small = 0;
    for (u32 i = 0; i < 20000; ++i) {
        const double size = std::pow(10.0, -3 + 3.5 * random()), course = 6.2832 * random(), fraction = random();
        const double longitude = 360 * random() - 180, latitude = 178 * random() - 89;
        const double to_latitude = latitude + size * std::sin(course);
        if (std::abs(to_latitude) > 90) continue;
        const double to_longitude = wrap_longitude(longitude + size * std::cos(course) / std::cos(latitude * RADIANS_PER_DEGREE));
        double series[2], full[2];
        if (!along_small_arc(longitude, latitude, to_longitude, to_latitude, fraction, &series[0], &series[1])) continue;
        along_arc(longitude, latitude, to_longitude, to_latitude, fraction, &full[0], &full[1]);
        const double turn = std::abs(series[0] - full[0]);
        largest = std::max({largest, std::min(turn, 360 - turn), std::abs(series[1] - full[1])});
        small += 1;
    }
    if (largest > 1.2e-8 || small < 1000) {
        std::printf("%u small arcs lie up to %.1e degrees off\n", small, largest);
        check.differences += 1;
    }
}

template <typename T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

std::uint64_t checksum(const std::vector<double>& values) {
    std::uint64_t sum = 14695981039346656037u;
    for (const double value : values) sum = (sum ^ cuda_on_cpu::bits_of(value)) * 1099511628211u;
    return sum;
}

}  // namespace

int main(int argc, char** argv) {
    const unsigned count = argc > 1 ? static_cast<unsigned>(std::atoi(argv[1])) : 40;
    const std::uint64_t seed = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
    Case c(count, seed);
    const Result whole = evaluate(c, static_cast<u32>(c.slabs.size()));
    const Result cut = evaluate(c, 2);
    Check check;
    compare(c, whole, check);
    check_arcs({seed}, check);
    if (!same(whole.figures, cut.figures) || !same(whole.states, cut.states) || (ROLLING && !same(whole.rolling, cut.rolling))) {
        std::printf("windows of two times give other bytes\n");
        check.differences += 1;
    }
    u64 samples = 0;
    for (const State& state : whole.states) samples += state.samples;
    std::printf("%u flights, %llu samples, largest difference %.1e, checksum %016" PRIx64 "\n", count, samples,
                check.largest, checksum(whole.figures) ^ (ROLLING ? checksum(whole.rolling) : 0));
    return check.differences == 0 ? 0 : 1;
}

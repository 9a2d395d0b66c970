// What a flight's figures are, computed the plain way in double precision: one
// sample after another, every axis searched from its start. It shares nothing
// with the kernels but the layout of what is asked.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "options.cuh"

namespace reference {

using skydose::CHANNELS;
constexpr double NONE = std::numeric_limits<double>::quiet_NaN();

struct Point {
    double time_s, longitude, latitude, pressure;
};

struct Sample {
    Point at;
    unsigned phase;
    bool inside;
    std::array<double, CHANNELS> values;
    std::array<double, CHANNELS> ratios;
};

struct Threshold {
    unsigned lane;
    double value;
};

using Curve = std::vector<std::array<double, 2>>;

struct Field {
    std::vector<double> times, latitudes, longitudes;
    std::vector<double> levels;                    // pressures, or boundaries of layers
    std::vector<std::array<double, 2>> hybrid;     // instead, where the levels are
    bool global;
    unsigned columns;                              // in memory, the repeated one included
    std::vector<std::vector<float>> values;        // [time][level][latitude][column][channel]
    std::vector<std::vector<float>> surface;       // [time][latitude][column]
};

struct Program {
    unsigned lanes;
    int temperature, humidity;  // -1: none
    unsigned dense, thin, dose_thin, log;
    std::vector<Threshold> thresholds;
    std::array<Curve, 4> flow;
    std::vector<std::array<double, 2>> rolling;  // lane, window
};

struct Figures {
    bool begun = false;
    std::vector<double> sampled, dosage, peak, peak_time, dose, above;
    // Above the thresholds a millionth higher and lower: peaks agree to that
    // much, so the crossing of a level value may lie anywhere between.
    std::vector<double> above_least, above_most;
};

struct Answer {
    std::array<Figures, 4> phases;
    std::vector<double> rolling;  // the largest mean; NaN where there is none
    unsigned samples;
};

// The cell and the part of it below x; false outside.
inline bool find(const std::vector<double>& nodes, double x, unsigned& cell, double& weight) {
    if (!(x >= nodes.front() && x <= nodes.back())) return false;
    cell = 0;
    weight = 0.0;
    if (nodes.size() == 1) return true;
    while (cell + 2 < nodes.size() && x >= nodes[cell + 1]) ++cell;
    weight = (x - nodes[cell]) / (nodes[cell + 1] - nodes[cell]);
    return true;
}

inline double altitude(double p) {
    using namespace skydose;
    if (p >= ISA_P11) return ISA_T0 / ISA_LAPSE * (1 - std::pow(p / ISA_P0, ISA_LAPSE / ISA_GMR));
    return ISA_TROPOPAUSE_M - ISA_TROPOPAUSE_T / ISA_GMR * std::log(p / ISA_P11);  // flights stay below 20 km
}

inline double pressure(double h) {
    using namespace skydose;
    if (h <= ISA_TROPOPAUSE_M) return ISA_P0 * std::pow(1 - ISA_LAPSE * h / ISA_T0, ISA_GMR / ISA_LAPSE);
    return ISA_P11 * std::exp(-ISA_GMR * (h - ISA_TROPOPAUSE_M) / ISA_TROPOPAUSE_T);
}

class Reference {
public:
    Reference(const Field& field, const Program& program) : field(field), program(program) {}

    Answer of(const std::vector<Point>& points, const std::vector<unsigned>& phases) const {
        const std::vector<Sample> samples = sampled(points, phases);
        Answer answer;
        answer.samples = samples.size();
        for (unsigned i = 0; i < samples.size(); ++i) add(answer, i == 0 ? nullptr : &samples[i - 1], samples[i]);
        for (const auto& [lane, window] : program.rolling) answer.rolling.push_back(largest(samples, lane, window));
        return answer;
    }

private:
    const Field& field;
    const Program& program;

    std::vector<Sample> sampled(const std::vector<Point>& points, const std::vector<unsigned>& phases) const {
        std::vector<Sample> samples;
        for (unsigned i = 0; i < points.size(); ++i) {
            const unsigned phase = phases[i == 0 ? 0 : i - 1];
            if (i > 0 && skydose::PATH) {
                for (const double t : instants(points[i - 1], points[i])) {
                    samples.push_back(sample(between(points[i - 1], points[i], t), phase));
                }
            }
            samples.push_back(sample(points[i], phase));
        }
        return samples;
    }

    // Those between two waypoints.
    std::vector<double> instants(const Point& a, const Point& b) const {
        const double per_layer = skydose::LAYERED ? 32 : 4;
        double shortest = 1e300, narrow_lat = 1e300, narrow_lon = 1e300;
        for (unsigned i = 1; i < field.times.size(); ++i) shortest = std::min(shortest, field.times[i] - field.times[i - 1]);
        for (unsigned i = 1; i < field.latitudes.size(); ++i) {
            narrow_lat = std::min(narrow_lat, field.latitudes[i] - field.latitudes[i - 1]);
        }
        for (unsigned i = 1; i < field.longitudes.size(); ++i) {
            narrow_lon = std::min(narrow_lon, field.longitudes[i] - field.longitudes[i - 1]);
        }
        const double turn = std::abs(b.longitude - a.longitude);
        double most = std::min(turn, 360 - turn) * 4 / narrow_lon;
        most = std::max(most, std::abs(b.latitude - a.latitude) * 4 / narrow_lat);
        most = std::max(most, (b.time_s - a.time_s) * 4 / shortest);
        if (a.pressure != b.pressure) {
            const double finest = spacing(std::min(a.pressure, b.pressure), std::max(a.pressure, b.pressure));
            most = std::max(most, std::abs(b.pressure - a.pressure) * per_layer / finest);
        }
        const unsigned parts = std::clamp(std::ceil(most - 1e-6), 1.0, 4096.0);
        std::vector<double> instants;
        for (unsigned k = 1; k < parts; ++k) instants.push_back(a.time_s + (b.time_s - a.time_s) * k / parts);
        for (const double edge : {field.times.front(), field.times.back()}) {
            if (a.time_s < edge && edge < b.time_s) instants.push_back(edge);
        }
        std::sort(instants.begin(), instants.end());
        instants.erase(std::unique(instants.begin(), instants.end(), [](double x, double y) { return y - x < 1e-9; }),
                       instants.end());
        return instants;
    }

    // The least step between levels from the cell of one pressure to that of another.
    double spacing(double low, double high) const {
        std::vector<double> nodes = field.levels;
        for (const auto& [a, b] : field.hybrid) nodes.push_back(a + b * 101325);
        const auto cell = [&](double p) {
            unsigned found = 0;
            while (found + 2 < nodes.size() && p >= nodes[found + 1] * (1 - 1e-12)) ++found;
            return found;
        };
        double least = 1e300;
        if (nodes.size() < 2) return least;
        for (unsigned i = cell(low); i <= cell(high); ++i) least = std::min(least, nodes[i + 1] - nodes[i]);
        return least;
    }

    static Point between(const Point& a, const Point& b, double t) {
        const double f = (t - a.time_s) / (b.time_s - a.time_s);
        const double rad = std::acos(-1.0) / 180;
        const auto vector = [&](const Point& p) {
            return std::array<double, 3>{std::cos(p.latitude * rad) * std::cos(p.longitude * rad),
                                         std::cos(p.latitude * rad) * std::sin(p.longitude * rad),
                                         std::sin(p.latitude * rad)};
        };
        const auto u = vector(a), v = vector(b);
        // Half the chord: well conditioned for near points.
        double chord = 0;
        for (int i = 0; i < 3; ++i) chord += (u[i] - v[i]) * (u[i] - v[i]);
        const double angle = 2 * std::asin(std::min(1.0, std::sqrt(chord) / 2));
        std::array<double, 3> w;
        for (int i = 0; i < 3; ++i) {
            w[i] = angle > 0 ? (u[i] * std::sin((1 - f) * angle) + v[i] * std::sin(f * angle)) / std::sin(angle) : u[i];
        }
        Point at = {t, std::atan2(w[1], w[0]) / rad, std::atan2(w[2], std::hypot(w[0], w[1])) / rad, a.pressure};
        if (a.pressure != b.pressure) {
            const double low = altitude(a.pressure), high = altitude(b.pressure);
            at.pressure = pressure(low + f * (high - low));
        }
        return at;
    }

    Sample sample(const Point& at, unsigned phase) const {
        Sample sample = {at, phase, false, {}, {}};
        sample.values.fill(NONE);
        sample.ratios.fill(NONE);
        std::array<double, CHANNELS> stored;
        sample.inside = interpolate(at, stored);
        if (!sample.inside) return sample;
        double rho = 1;
        if (skydose::DENSE) {
            double temperature = altitude(at.pressure) <= 11000 ? 288.15 - 0.0065 * altitude(at.pressure) : 216.65;
            if (program.temperature >= 0) temperature = stored[program.temperature];
            const double humidity = program.humidity >= 0 ? stored[program.humidity] : 0;
            rho = at.pressure / (287.06 * temperature * (1 + 0.609 * humidity));
        }
        for (unsigned lane = 0; lane < program.lanes; ++lane) {
            const double v = program.log >> lane & 1 ? std::exp(stored[lane]) : stored[lane];
            sample.values[lane] = program.dense >> lane & 1 ? v * rho : program.thin >> lane & 1 ? v / rho : v;
            sample.ratios[lane] = program.dose_thin >> lane & 1 ? v / rho : v;
        }
        return sample;
    }

    // All channels at a point; false outside the field.
    bool interpolate(const Point& at, std::array<double, CHANNELS>& out) const {
        unsigned t, row, column, level;
        double wt, wy, wx, wz;
        if (!find(field.times, at.time_s, t, wt) || !find(field.latitudes, at.latitude, row, wy)) return false;
        std::vector<double> meridians = field.longitudes;
        if (field.global) meridians.push_back(meridians.front() + 360);
        double x = at.longitude;
        while (x < meridians.front()) x += 360;
        while (x >= meridians.front() + 360) x -= 360;
        if (!find(meridians, x, column, wx)) return false;
        std::vector<double> nodes = field.levels;
        for (const auto& [a, b] : field.hybrid) nodes.push_back(a + b * surface(t, row, column, wt, wy, wx));
        const bool logarithmic = SKYDOSE_LEVELS == LEVELS_LOG || SKYDOSE_LEVELS == LEVELS_HYBRID_LOG;
        if (!find(nodes, at.pressure, level, wz)) return false;
        if (logarithmic) wz = std::log(at.pressure / nodes[level]) / std::log(nodes[level + 1] / nodes[level]);
        if (skydose::LAYERED) wz = 0;
        const unsigned levels = (SKYDOSE_LEVELS == LEVELS_LAYERS || SKYDOSE_LEVELS == LEVELS_HYBRID_LAYERS)
                                    ? nodes.size() - 1 : nodes.size();
        for (unsigned channel = 0; channel < CHANNELS; ++channel) {
            double sum = 0;
            for (unsigned corner = 0; corner < 16; ++corner) {
                const unsigned dt = corner & 1, dz = corner >> 1 & 1, dy = corner >> 2 & 1, dx = corner >> 3;
                if (skydose::LAYERED && dz) continue;
                const double w = (dt ? wt : 1 - wt) * (dz ? wz : 1 - wz) * (dy ? wy : 1 - wy) * (dx ? wx : 1 - wx);
                const unsigned it = std::min<unsigned>(t + dt, field.times.size() - 1);
                const unsigned iz = std::min(level + dz, levels - 1);
                const unsigned iy = std::min<unsigned>(row + dy, field.latitudes.size() - 1);
                const std::size_t point = (static_cast<std::size_t>(iz) * field.latitudes.size() + iy) * field.columns + column + dx;
                const double value = field.values[it][point * CHANNELS + channel];
                // A corner that is missing matters where it has weight.
                const double least = std::min({dt ? wt : 1 - wt, dz ? wz : 1 - wz, dy ? wy : 1 - wy, dx ? wx : 1 - wx});
                if (std::isnan(value) && least < 1e-6) continue;
                sum += w * value;
            }
            out[channel] = sum;
        }
        return true;
    }

    double surface(unsigned t, unsigned row, unsigned column, double wt, double wy, double wx) const {
        double sum = 0;
        for (unsigned corner = 0; corner < 8; ++corner) {
            const unsigned dt = corner & 1, dy = corner >> 1 & 1, dx = corner >> 2;
            const double w = (dt ? wt : 1 - wt) * (dy ? wy : 1 - wy) * (dx ? wx : 1 - wx);
            const unsigned it = std::min<unsigned>(t + dt, field.times.size() - 1);
            const unsigned iy = std::min<unsigned>(row + dy, field.latitudes.size() - 1);
            sum += w * field.surface[it][iy * field.columns + column + dx];
        }
        return sum;
    }

    double flow(unsigned phase, double p) const {
        const Curve& curve = program.flow[phase];
        if (p <= curve.front()[0]) return curve.front()[1];
        for (unsigned i = 1; i < curve.size(); ++i) {
            if (p <= curve[i][0]) {
                const double w = (p - curve[i - 1][0]) / (curve[i][0] - curve[i - 1][0]);
                return (1 - w) * curve[i - 1][1] + w * curve[i][1];
            }
        }
        return curve.back()[1];
    }

    // One sample, and the step that leads to it.
    void add(Answer& answer, const Sample* before, const Sample& after) const {
        Figures& f = answer.phases[after.phase];
        if (!f.begun) {
            f.begun = true;
            f.sampled.assign(program.lanes, 0);
            f.dosage = f.dose = f.sampled;
            f.peak.assign(program.lanes, -INFINITY);
            f.peak_time.assign(program.lanes, NONE);
            f.above.assign(program.thresholds.size(), 0);
            f.above_least = f.above_most = f.above;
        }
        for (unsigned lane = 0; lane < program.lanes; ++lane) {
            for (const Sample* end : {before, &after}) {
                if (end != nullptr && end->values[lane] > f.peak[lane]) {
                    f.peak[lane] = end->values[lane];
                    f.peak_time[lane] = end->at.time_s;
                }
            }
            if (before == nullptr) continue;
            const double a = before->values[lane], b = after.values[lane];
            const double seconds = after.at.time_s - before->at.time_s;
            if (std::isnan(a) || std::isnan(b)) continue;
            f.sampled[lane] += seconds;
            f.dosage[lane] += seconds * (a + b) / 2;
            if (skydose::DOSE) {
                f.dose[lane] += seconds / 2 * (before->ratios[lane] * flow(after.phase, before->at.pressure) +
                                               after.ratios[lane] * flow(after.phase, after.at.pressure));
            }
            for (unsigned i = 0; i < program.thresholds.size(); ++i) {
                if (program.thresholds[i].lane != lane) continue;
                const double low = std::min(a, b), high = std::max(a, b);
                const auto above = [&](double limit) {
                    return low >= limit ? seconds : high < limit ? 0 : seconds * (high - limit) / (high - low);
                };
                const double limit = program.thresholds[i].value;
                f.above[i] += above(limit);
                f.above_least[i] += above(limit * (1 + 1e-6));
                f.above_most[i] += above(limit * (1 - 1e-6));
            }
        }
    }

    // Over every window that begins or ends at a sample, and 16 between each
    // two of these: a little below the exact maximum.
    double largest(const std::vector<Sample>& samples, unsigned lane, double window) const {
        double best = NONE;
        for (unsigned from = 0; from < samples.size();) {
            unsigned to = from;
            while (to < samples.size() && !std::isnan(samples[to].values[lane])) ++to;
            const auto integral = [&](double upto) {
                double sum = 0;
                for (unsigned i = from + 1; i < to; ++i) {
                    const double t0 = samples[i - 1].at.time_s, t1 = samples[i].at.time_s;
                    const double c0 = samples[i - 1].values[lane], c1 = samples[i].values[lane];
                    const double end = std::clamp(upto, t0, t1);
                    if (t1 > t0) sum += (end - t0) * (c0 + (c1 - c0) * (end - t0) / (t1 - t0) / 2);
                }
                return sum;
            };
            std::vector<double> ends;
            for (unsigned i = from; i < to; ++i) {
                ends.push_back(samples[i].at.time_s);
                ends.push_back(samples[i].at.time_s + window);
            }
            std::sort(ends.begin(), ends.end());
            for (unsigned i = 0; i + 1 < ends.size(); ++i) {
                for (unsigned k = 0; k <= 16; ++k) {
                    const double t = ends[i] + (ends[i + 1] - ends[i]) * k / 16;
                    if (t - window < samples[from].at.time_s || t > samples[to - 1].at.time_s) continue;
                    const double mean = (integral(t) - integral(t - window)) / window;
                    if (!(mean <= best)) best = mean;
                }
            }
            from = to + 1;
        }
        return best;
    }
};

}  // namespace reference

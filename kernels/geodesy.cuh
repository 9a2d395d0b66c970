// Great circles on a sphere, as trajectory/geodesy.rs.
#pragma once

#include "abi.cuh"

namespace skydose {

constexpr double RADIANS_PER_DEGREE = 3.14159265358979323846 / 180.0;
constexpr double DEGREES_PER_RADIAN = 180.0 / 3.14159265358979323846;

// Below this sine of the angle between antipodes, rounding decides which way
// is the shorter.
constexpr double ANTIPODAL_SINE = 1e-14;

struct Vector {
    double x, y, z;
};

__device__ inline Vector unit_vector(double longitude, double latitude) {
    double sin_lon, cos_lon, sin_lat, cos_lat;
    sincos(longitude * RADIANS_PER_DEGREE, &sin_lon, &cos_lon);
    sincos(latitude * RADIANS_PER_DEGREE, &sin_lat, &cos_lat);
    return {cos_lat * cos_lon, cos_lat * sin_lon, sin_lat};
}

__device__ inline Vector cross(const Vector& a, const Vector& b) {
    return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}

__device__ inline double dot(const Vector& a, const Vector& b) { return a.x * b.x + a.y * b.y + a.z * b.z; }

// The same meridian in -180 <= longitude < 180.
__device__ inline double wrap_longitude(double degrees) {
    if (degrees >= 180.0) degrees -= 360.0;
    if (degrees < -180.0) degrees += 360.0;
    return degrees >= 180.0 ? -180.0 : degrees;
}

// The horizontal direction to the North Pole along the meridian; at the pole
// itself, down that meridian.
__device__ inline Vector towards_pole(const Vector& from, double longitude) {
    double sin_lon, cos_lon;
    sincos(longitude * RADIANS_PER_DEGREE, &sin_lon, &cos_lon);
    const double cos_lat = hypot(from.x, from.y);
    const double south = cos_lat < ANTIPODAL_SINE ? 1.0 : -from.z;
    return {south * cos_lon, south * sin_lon, cos_lat};
}

// The shorter arc of the great circle between two points: the point at
// `fraction` of it, 0 < fraction < 1, in degrees.
__device__ inline void along_arc(double from_longitude, double from_latitude, double to_longitude,
                                          double to_latitude, double fraction, double* longitude,
                                          double* latitude) {
    const Vector from = unit_vector(from_longitude, from_latitude);
    const Vector to = unit_vector(to_longitude, to_latitude);
    const Vector normal = cross(from, to);
    const double sine = sqrt(dot(normal, normal));
    const double cosine = dot(from, to);
    Vector ahead = {0.0, 0.0, 0.0};
    if (sine > ANTIPODAL_SINE || (cosine > 0.0 && sine > 0.0)) {
        ahead = cross(normal, from);
    } else if (!(cosine > 0.0)) {
        ahead = towards_pole(from, from_longitude);
    }
    const double length = sqrt(dot(ahead, ahead));
    const double scale = length > 0.0 ? 1.0 / length : 1.0;
    double sin_angle, cos_angle;
    sincos(fraction * atan2(sine, cosine), &sin_angle, &cos_angle);
    sin_angle *= scale;
    const double x = from.x * cos_angle + ahead.x * sin_angle;
    const double y = from.y * cos_angle + ahead.y * sin_angle;
    const double z = from.z * cos_angle + ahead.z * sin_angle;
    *longitude = wrap_longitude(atan2(y, x) * DEGREES_PER_RADIAN);
    *latitude = atan2(z, hypot(x, y)) * DEGREES_PER_RADIAN;
}

// How long a small arc is at most, in the measure of `along_small_arc`.
constexpr float SMALL_ARC = 0.02f;

// The same for a small arc; false, and nothing done, for others.
//
// With fraction x, chord (p, q) in latitude and longitude and t the tangent of
// the latitude in the middle, the equations of the geodesic, phi'' = -sin phi
// cos phi lambda'^2 and lambda'' = 2 tan phi phi' lambda', solved to the third
// order in (p, q), say how far the arc lies off the chord. What is left out is
// below 1.2e-3 ((|p| + |q|) (1 + |t|))^4 radians, 1e-8 degrees within the
// bound. The chord is in double precision, and how far off it in single: a
// tenth of the work where double precision is quick, a hundredth elsewhere.
__device__ inline bool along_small_arc(double from_longitude, double from_latitude, double to_longitude,
                                       double to_latitude, double fraction, double* longitude, double* latitude) {
    const double north = to_latitude - from_latitude;
    double east = to_longitude - from_longitude;
    if (east > 180.0) east -= 360.0;
    if (east < -180.0) east += 360.0;
    constexpr float RADIANS = static_cast<float>(RADIANS_PER_DEGREE);
    const float p = static_cast<float>(north) * RADIANS;
    const float q = static_cast<float>(east) * RADIANS;
    float s, c;
    sincosf(static_cast<float>(from_latitude + 0.5 * north) * RADIANS, &s, &c);
    const float t = s / c;
    if (!((fabsf(p) + fabsf(q)) * (1.0f + fabsf(t)) < SMALL_ARC)) return false;
    const float x = static_cast<float>(fraction);
    const float bow = x * (1.0f - x);
    const float side = (x - 0.5f) / 3.0f;
    const float off_north = 0.5f * q * q * (s * c + p * (1.0f + 2.0f * s * s) * side);
    const float off_east = -q * (t * p + (p * p * (1.0f + 3.0f * t * t) - s * s * q * q) * side);
    *latitude = from_latitude + north * fraction + static_cast<double>(bow * off_north / RADIANS);
    *longitude = wrap_longitude(from_longitude + east * fraction + static_cast<double>(bow * off_east / RADIANS));
    return true;
}

__device__ inline void along_great_circle(double from_longitude, double from_latitude, double to_longitude,
                                          double to_latitude, double fraction, double* longitude,
                                          double* latitude) {
    if (along_small_arc(from_longitude, from_latitude, to_longitude, to_latitude, fraction, longitude, latitude)) return;
    along_arc(from_longitude, from_latitude, to_longitude, to_latitude, fraction, longitude, latitude);
}

}  // namespace skydose

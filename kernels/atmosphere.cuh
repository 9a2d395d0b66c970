// The ICAO standard atmosphere and the density of air, as atmosphere.rs.
#pragma once

#include "abi.cuh"

namespace skydose {

constexpr double ISA_GMR = 9.80665 * 28.964420 / 8314.32;
constexpr double ISA_T0 = 288.15;
constexpr double ISA_P0 = 101325.0;
constexpr double ISA_LAPSE = 0.0065;
constexpr double ISA_TROPOPAUSE_M = 11000.0;
constexpr double ISA_TROPOPAUSE_T = 216.65;
constexpr double ISA_UPPER_M = 20000.0;
constexpr double ISA_UPPER_LAPSE = 0.001;
constexpr double ISA_P11 = 22632.040548385397;
constexpr double ISA_P20 = 5474.877637796048;
constexpr double DRY_AIR_GAS_CONSTANT = 287.06;
constexpr double VIRTUAL_TEMPERATURE_FACTOR = 0.609;

// Pressure [Pa] at a pressure altitude [m].
__device__ inline double isa_pressure(double h) {
    if (h <= ISA_TROPOPAUSE_M) {
        return ISA_P0 * pow((ISA_T0 - ISA_LAPSE * h) / ISA_T0, ISA_GMR / ISA_LAPSE);
    }
    if (h <= ISA_UPPER_M) {
        return ISA_P11 * exp(-ISA_GMR * (h - ISA_TROPOPAUSE_M) / ISA_TROPOPAUSE_T);
    }
    const double t = ISA_TROPOPAUSE_T + ISA_UPPER_LAPSE * (h - ISA_UPPER_M);
    return ISA_P20 * pow(t / ISA_TROPOPAUSE_T, -ISA_GMR / ISA_UPPER_LAPSE);
}

// Pressure altitude [m] of a pressure [Pa].
__device__ inline double isa_altitude(double p) {
    if (p >= ISA_P11) {
        return ISA_T0 / ISA_LAPSE * (1.0 - pow(p / ISA_P0, ISA_LAPSE / ISA_GMR));
    }
    if (p >= ISA_P20) {
        return ISA_TROPOPAUSE_M - ISA_TROPOPAUSE_T / ISA_GMR * log(p / ISA_P11);
    }
    const double t = ISA_TROPOPAUSE_T * pow(p / ISA_P20, -ISA_UPPER_LAPSE / ISA_GMR);
    return ISA_UPPER_M + (t - ISA_TROPOPAUSE_T) / ISA_UPPER_LAPSE;
}

// Temperature [K] at a pressure [Pa].
__device__ inline double isa_temperature(double p) {
    const double h = isa_altitude(p);
    if (h <= ISA_TROPOPAUSE_M) return ISA_T0 - ISA_LAPSE * h;
    return ISA_TROPOPAUSE_T + ISA_UPPER_LAPSE * fmax(h - ISA_UPPER_M, 0.0);
}

// Density of moist air [kg m-3].
__device__ inline float density(float pressure_pa, float temperature, float humidity) {
    const float virtual_temperature =
        temperature * fmaf(static_cast<float>(VIRTUAL_TEMPERATURE_FACTOR), humidity, 1.0f);
    return pressure_pa / (static_cast<float>(DRY_AIR_GAS_CONSTANT) * virtual_temperature);
}

}  // namespace skydose

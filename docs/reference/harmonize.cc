// Harmonizes a melody with an exported network of voices; there is no Python in it.
//
//   harmonize SAVED_MODEL LOWEST_PITCH SEED PITCH...
//
// Each pitch is a quarter note of the first voice, in 4/4, as a MIDI number; 0 is a rest.
// LOWEST_PITCH is `min_pitch` of the model card. Prints the notes of all voices, a line
// each: voice, first step, steps, pitch.

#include <cstring>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "tensorflow/cc/saved_model/loader.h"
#include "tensorflow/core/framework/tensor.h"

using tensorflow::Tensor;

constexpr int kQuarterSteps = 4, kBarSteps = 16, kVelocity = 80;

// The tensors of a signature by their names.
using Inputs = std::map<std::string, Tensor>;

// All inputs of one piece: zeros, but for the settings of generation.
Inputs Defaults(const tensorflow::SignatureDef& draw, int steps) {
  Inputs inputs;
  for (const auto& [name, info] : draw.inputs()) {
    tensorflow::TensorShape shape;
    // Two axes have no size of their own: the batch, which is first, and the time.
    for (const auto& axis : info.tensor_shape().dim())
      shape.AddDim(axis.size() >= 0 ? axis.size() : shape.dims() == 0 ? 1 : steps);
    Tensor tensor(info.dtype(), shape);
    std::memset(tensor.data(), 0, tensor.TotalBytes());
    inputs[name] = tensor;
  }
  inputs["temperature"].flat<float>()(0) = 1.0f;
  inputs["top_p"].flat<float>()(0) = 0.85f;
  inputs["style"].flat<float>()(0) = 1.0f;
  return inputs;
}

// Gives the first voice, its rests too. Returns whether the network has all its pitches.
bool GiveMelody(const std::vector<int>& melody, int lowest, Inputs& inputs) {
  auto play = inputs["play"].tensor<uint8_t, 4>();
  const int steps = play.dimension(1);
  for (int step = 0; step < steps; ++step) {
    inputs["bar_position"].matrix<int>()(0, step) = step % kBarSteps;
    inputs["bars_left"].matrix<int>()(0, step) = (steps - 1) / kBarSteps - step / kBarSteps;
    inputs["given"].tensor<float, 3>()(0, step, 0) = 1.0f;
    const int quarter = step / kQuarterSteps, pitch = melody[quarter] - lowest;
    if (melody[quarter] == 0) continue;
    if (pitch < 0 || pitch >= play.dimension(3)) return false;
    play(0, step, 0, pitch) = 1;
    inputs["volume"].tensor<uint8_t, 4>()(0, step, 0, pitch) = kVelocity;
    const bool begins = step % kQuarterSteps == 0;
    // A pitch that sounded in the step before is struck again, not held.
    if (begins && step && play(0, step - 1, 0, pitch))
      inputs["replay"].tensor<uint8_t, 4>()(0, step, 0, pitch) = 1;
  }
  return true;
}

void Print(const Tensor& played, const Tensor& struck, int lowest) {
  const auto play = played.tensor<uint8_t, 4>(), replay = struck.tensor<uint8_t, 4>();
  for (int voice = 0; voice < play.dimension(2); ++voice)
    for (int pitch = 0; pitch < play.dimension(3); ++pitch)
      for (int start = 0, end; start < play.dimension(1); start = end) {
        end = start + 1;
        if (!play(0, start, voice, pitch)) continue;
        while (end < play.dimension(1) && play(0, end, voice, pitch) &&
               !replay(0, end, voice, pitch))
          ++end;
        std::cout << voice << " " << start << " " << end - start << " " << lowest + pitch << "\n";
      }
}

int Fail(const std::string& why) {
  std::cerr << "error: " << why << "\n";
  return 1;
}

int main(int count, char** words) {
  if (count < 5) return Fail("usage: harmonize SAVED_MODEL LOWEST_PITCH SEED PITCH...");
  const int lowest = std::stoi(words[2]), seed = std::stoi(words[3]);
  std::vector<int> melody;
  for (int k = 4; k < count; ++k) melody.push_back(std::stoi(words[k]));

  tensorflow::SavedModelBundle model;
  auto status = tensorflow::LoadSavedModel({}, {}, words[1], {"serve"}, &model);
  if (!status.ok()) return Fail(status.ToString());
  const auto& draw = model.GetSignatures().at("draw_free");
  auto inputs = Defaults(draw, melody.size() * kQuarterSteps);
  inputs["seed"].matrix<int>()(0, 0) = seed;
  if (!GiveMelody(melody, lowest, inputs)) return Fail("The network lacks a pitch.");

  std::vector<std::pair<std::string, Tensor>> fed;
  for (const auto& [name, tensor] : inputs)
    fed.emplace_back(draw.inputs().at(name).name(), tensor);
  const auto& outputs = draw.outputs();
  std::vector<Tensor> drawn;
  status = model.GetSession()->Run(
      fed, {outputs.at("play").name(), outputs.at("replay").name()}, {}, &drawn);
  if (!status.ok()) return Fail(status.ToString());
  Print(drawn[0], drawn[1], lowest);
}

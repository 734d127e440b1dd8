"use strict";

// The agent: a network on float32 weights. Sums are in float64 and rounded once a layer, as Math.fround does.

function decodeNumbers(text, type = Float32Array) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  return new type(bytes.buffer);
}

const ACTIVATIONS = {
  relu: (x) => Math.max(x, 0),
  tanh: Math.tanh,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  silu: (x) => x / (1 + Math.exp(-x)),
  elu: (x, { alpha }) => (x > 0 ? x : alpha * Math.expm1(x)),
  leaky_relu: (x, { slope }) => (x > 0 ? x : slope * x),
};

const LAYERS = {
  // weights: (outputs, inputs)
  linear(input, { weights, bias }) {
    const output = new Float32Array(bias.length);
    for (let row = 0; row < output.length; row++) {
      let sum = bias[row];
      const start = row * input.length;
      for (let column = 0; column < input.length; column++) sum += weights[start + column] * input[column];
      output[row] = sum;
    }
    return output;
  },

  // weights: (outputs, channels, kernel height, kernel width); input: (channels, height, width)
  convolution(input, { weights, bias, channels, height, width, kernel, stride, padding }) {
    const rows = Math.floor((height + 2 * padding[0] - kernel[0]) / stride[0]) + 1;
    const columns = Math.floor((width + 2 * padding[1] - kernel[1]) / stride[1]) + 1;
    const output = new Float32Array(bias.length * rows * columns);
    let place = 0;
    for (let filter = 0; filter < bias.length; filter++) {
      for (let row = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++) {
          let sum = bias[filter];
          for (let channel = 0; channel < channels; channel++) {
            for (let i = 0; i < kernel[0]; i++) {
              const y = row * stride[0] - padding[0] + i;
              if (y < 0 || y >= height) continue;
              const weight = ((filter * channels + channel) * kernel[0] + i) * kernel[1];
              for (let j = 0; j < kernel[1]; j++) {
                const x = column * stride[1] - padding[1] + j;
                if (x < 0 || x >= width) continue;
                sum += weights[weight + j] * input[(channel * height + y) * width + x];
              }
            }
          }
          output[place++] = sum;
        }
      }
    }
    return output;
  },

  activation(input, layer) {
    const activate = ACTIVATIONS[layer.name];
    return input.map((x) => activate(x, layer));
  },
};

function computeLayers(layers, input) {
  return layers.reduce((numbers, layer) => LAYERS[layer.type](numbers, layer), input);
}

function decodeLayers(layers) {
  return layers.map((layer) => {
    if (!("weights" in layer)) return layer;
    return { ...layer, weights: decodeNumbers(layer.weights), bias: decodeNumbers(layer.bias) };
  });
}

function findLargest(numbers, legal = null) {
  let best = -1;
  numbers.forEach((number, index) => {
    if ((!legal || legal[index]) && (best < 0 || number > numbers[best])) best = index;
  });
  return best;
}

class Agent {
  constructor(description) {
    this.description = description;
    this.trunk = decodeLayers(description.trunk);
    this.actor = decodeLayers(description.actor);
    this.critic = description.critic && decodeLayers(description.critic);
    const { normalization } = description;
    if (normalization) {
      this.mean = decodeNumbers(normalization.mean, Float64Array);
      this.scale = decodeNumbers(normalization.scale, Float64Array);
    }
    this.begin();
  }

  // A new episode: the frame stack is empty.
  begin() {
    this.frames = null;
  }

  // observation: numbers of the environment; legal: for each action whether it is legal, or null.
  // Returns the action; preferences: a number for each action; value: the expected return, or null.
  decide(observation, legal = null) {
    let input = Float32Array.from(observation);
    const { stack, output } = this.description;
    if (stack) {
      const frames = this.frames || new Float32Array(input.length * stack);
      frames.copyWithin(0, input.length);
      frames.set(input, frames.length - input.length);
      this.frames = frames;
      input = Float32Array.from(frames);
    }
    if (this.mean) {
      const { clip } = this.description.normalization;
      input = input.map((x, i) => Math.max(-clip, Math.min(clip, (x - this.mean[i]) / this.scale[i])));
    }
    if (this.description.mask_first) input = Float32Array.from([...legal.map(Number), ...input]);
    const features = computeLayers(this.trunk, input);
    const result = computeLayers(this.actor, features);
    if (output.kind === "continuous") return { action: this.scaleActions(result), preferences: [], value: this.judge(features) };
    if (output.kind === "probabilities") {
      const action = findLargest(result, legal);
      const weights = Array.from(result, (x, i) => (!legal || legal[i] ? Math.exp(x - result[action]) : 0));
      const sum = weights.reduce((a, b) => a + b, 0);
      return { action, preferences: weights.map((x) => x / sum), value: this.judge(features) };
    }
    const values = new Float32Array(output.actions);
    const quantiles = result.length / output.actions;
    for (let action = 0; action < values.length; action++) {
      let sum = 0;
      for (let i = 0; i < quantiles; i++) sum += result[i * values.length + action];
      values[action] = sum / quantiles;
    }
    const action = findLargest(values, legal);
    return { action, preferences: Array.from(values), value: values[action] };
  }

  judge(features) {
    return this.critic ? computeLayers(this.critic, features)[0] : null;
  }

  scaleActions(actions) {
    const { low, high, squash } = this.description.output;
    return Array.from(actions, (x, i) =>
      squash ? Math.fround(low[i] + 0.5 * (x + 1) * (high[i] - low[i])) : Math.max(low[i], Math.min(high[i], x)));
  }
}

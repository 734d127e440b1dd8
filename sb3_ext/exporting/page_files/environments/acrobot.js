"use strict";

// Acrobot, with the equations of gymnasium/envs/classic_control/acrobot.py (Sutton, 1996; those of the book).
class Environment {
  static title = "Acrobot";
  static goal = "Swing the tip above the line.";
  static actions = ["Left", "Coast", "Right"];
  static stepsPerSecond = 15;

  constructor() {
    this.state = [0, 0, 0, 0];
  }

  reset(random) {
    this.state = [0, 0, 0, 0].map(() => Math.fround(0.2 * random() - 0.1));
  }

  step(action) {
    const [first, second, spin1, spin2] = integrate((state) => derive(state, action - 1), this.state, 0.2);
    const most1 = 4 * Math.PI, most2 = 9 * Math.PI;
    this.state = [
      wrapAngle(first), wrapAngle(second),
      Math.max(-most1, Math.min(most1, spin1)), Math.max(-most2, Math.min(most2, spin2)),
    ];
    const terminated = -Math.cos(this.state[0]) - Math.cos(this.state[1] + this.state[0]) > 1;
    return { reward: terminated ? 0 : -1, terminated };
  }

  observe() {
    const [first, second, spin1, spin2] = this.state;
    return [Math.cos(first), Math.sin(first), Math.cos(second), Math.sin(second), spin1, spin2];
  }

  push(direction) {
    this.state[2] += 1.5 * direction;
  }

  choose(direction) {
    return direction + 1;
  }

  draw(pen, width, height, colors) {
    const size = Math.min(width, height) * 0.205, x = width / 2, y = height * 0.5;
    const [first, second] = this.state;
    const jointX = x + size * Math.sin(first), jointY = y + size * Math.cos(first);
    const tipX = jointX + size * Math.sin(first + second), tipY = jointY + size * Math.cos(first + second);
    pen.strokeStyle = colors.line;
    pen.lineWidth = 2;
    pen.setLineDash([8, 8]);
    drawLine(pen, 0, y - size, width, y - size);
    pen.setLineDash([]);
    pen.lineCap = "round";
    pen.lineWidth = size * 0.2;
    pen.strokeStyle = colors.first;
    drawLine(pen, x, y, jointX, jointY);
    pen.strokeStyle = colors.second;
    drawLine(pen, jointX, jointY, tipX, tipY);
    pen.fillStyle = colors.text;
    drawDisc(pen, x, y, size * 0.07);
    drawDisc(pen, jointX, jointY, size * 0.07);
  }
}

function derive([first, second, spin1, spin2], torque) {
  const cos = Math.cos(second), sin = Math.sin(second), g = 9.8;
  const d1 = 0.25 + (1.25 + cos) + 2;
  const d2 = 0.25 + 0.5 * cos + 1;
  const phi2 = 0.5 * g * Math.cos(first + second - Math.PI / 2);
  const phi1 = -0.5 * spin2 ** 2 * sin - spin2 * spin1 * sin + 1.5 * g * Math.cos(first - Math.PI / 2) + phi2;
  const change2 = (torque + (d2 / d1) * phi1 - 0.5 * spin1 ** 2 * sin - phi2) / (1.25 - d2 ** 2 / d1);
  const change1 = -(d2 * change2 + phi1) / d1;
  return [spin1, spin2, change1, change2];
}

// A step of the Runge-Kutta method of fourth order.
function integrate(derivative, state, time) {
  const move = (slope, duration) => state.map((x, i) => x + duration * slope[i]);
  const k1 = derivative(state);
  const k2 = derivative(move(k1, time / 2));
  const k3 = derivative(move(k2, time / 2));
  const k4 = derivative(move(k3, time));
  return state.map((x, i) => x + (time / 6) * (k1[i] + 2 * k2[i] + 2 * k3[i] + k4[i]));
}

function wrapAngle(angle) {
  while (angle > Math.PI) angle -= 2 * Math.PI;
  while (angle < -Math.PI) angle += 2 * Math.PI;
  return angle;
}

"use strict";

// Pendulum, with the equations of gymnasium/envs/classic_control/pendulum.py.
class Environment {
  static title = "Pendulum";
  static goal = "Swing up and stay upright.";
  static actions = ["Torque"];
  static stepsPerSecond = 20;

  constructor(parameters) {
    this.gravity = parameters.g === undefined ? 10 : parameters.g;
    this.state = [Math.PI, 0];
    this.torque = 0;
  }

  reset(random) {
    this.state = [Math.PI * (2 * random() - 1), 2 * random() - 1];
    this.torque = 0;
  }

  step(action) {
    let [angle, spin] = this.state;
    const torque = Math.max(-2, Math.min(2, action[0]));
    const turn = 2 * Math.PI;
    const wrapped = ((((angle + Math.PI) % turn) + turn) % turn) - Math.PI;
    const reward = -(wrapped ** 2 + 0.1 * spin ** 2 + 0.001 * torque ** 2);
    spin += (1.5 * this.gravity * Math.sin(angle) + 3 * torque) * 0.05;
    spin = Math.max(-8, Math.min(8, spin));
    angle += spin * 0.05;
    this.state = [angle, spin];
    this.torque = torque;
    return { reward, terminated: false };
  }

  observe() {
    return [Math.cos(this.state[0]), Math.sin(this.state[0]), this.state[1]];
  }

  push(direction) {
    this.state[1] = Math.max(-8, Math.min(8, this.state[1] - 3 * direction));
  }

  choose(direction) {
    return [-2 * direction];
  }

  draw(pen, width, height, colors) {
    const size = Math.min(width, height) * 0.38, x = width / 2, y = height / 2;
    const [angle] = this.state;
    pen.strokeStyle = colors.line;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(x, y, size, 0, 2 * Math.PI);
    pen.stroke();
    pen.lineCap = "round";
    pen.lineWidth = size * 0.2;
    pen.strokeStyle = colors.first;
    drawLine(pen, x, y, x - 0.9 * size * Math.sin(angle), y - 0.9 * size * Math.cos(angle));
    pen.fillStyle = colors.text;
    drawDisc(pen, x, y, size * 0.06);
    if (Math.abs(this.torque) < 0.05) return;
    const span = 0.6 * this.torque, radius = size * 0.36, start = -Math.PI / 2;
    pen.strokeStyle = colors.second;
    pen.lineWidth = size * 0.06;
    pen.beginPath();
    pen.arc(x, y, radius, start, start - span, span > 0);
    pen.stroke();
    pen.fillStyle = colors.second;
    drawDisc(pen, x + radius * Math.cos(start - span), y + radius * Math.sin(start - span), size * 0.07);
  }
}

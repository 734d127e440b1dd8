"use strict";

// CartPole, with the equations of gymnasium/envs/classic_control/cartpole.py (Barto, Sutton and Anderson, 1983).
class Environment {
  static title = "CartPole";
  static goal = "Balance the pole.";
  static actions = ["Left", "Right"];
  static stepsPerSecond = 50;

  constructor(parameters) {
    this.fewRewards = Boolean(parameters.sutton_barto_reward);
    this.state = [0, 0, 0, 0];
  }

  reset(random) {
    this.state = [0, 0, 0, 0].map(() => random() * 0.1 - 0.05);
  }

  step(action) {
    let [x, speed, angle, spin] = this.state;
    const force = action === 1 ? 10 : -10;
    const cos = Math.cos(angle), sin = Math.sin(angle);
    const push = (force + 0.05 * spin * spin * sin) / 1.1;
    const spinChange = (9.8 * sin - cos * push) / (0.5 * (4 / 3 - (0.1 * cos * cos) / 1.1));
    const speedChange = push - (0.05 * spinChange * cos) / 1.1;
    x += 0.02 * speed;
    speed += 0.02 * speedChange;
    angle += 0.02 * spin;
    spin += 0.02 * spinChange;
    this.state = [x, speed, angle, spin];
    const limit = (12 * 2 * Math.PI) / 360;
    const terminated = Math.abs(x) > 2.4 || Math.abs(angle) > limit;
    const reward = this.fewRewards ? (terminated ? -1 : 0) : 1;
    return { reward, terminated };
  }

  observe() {
    return this.state;
  }

  push(direction) {
    this.state[3] += 0.6 * direction;
  }

  choose(direction) {
    return direction > 0 ? 1 : direction < 0 ? 0 : null;
  }

  draw(pen, width, height, colors) {
    const scale = width / 6, ground = height * 0.74;
    const [x, , angle] = this.state;
    const center = width / 2 + x * scale;
    pen.strokeStyle = colors.line;
    pen.lineWidth = 2;
    drawLine(pen, 0, ground, width, ground);
    for (const end of [-2.4, 2.4]) drawLine(pen, width / 2 + end * scale, ground - 7, width / 2 + end * scale, ground + 7);
    pen.fillStyle = colors.first;
    pen.beginPath();
    pen.roundRect(center - 0.42 * scale, ground - 0.28 * scale, 0.84 * scale, 0.4 * scale, 0.07 * scale);
    pen.fill();
    pen.strokeStyle = colors.second;
    pen.lineCap = "round";
    pen.lineWidth = 0.13 * scale;
    const pivot = ground - 0.22 * scale;
    const length = Math.min(1.9 * scale, height * 0.58);
    drawLine(pen, center, pivot, center + length * Math.sin(angle), pivot - length * Math.cos(angle));
    pen.fillStyle = colors.text;
    drawDisc(pen, center, pivot, 0.055 * scale);
  }
}

"use strict";

// MountainCar and MountainCarContinuous, with the equations of gymnasium/envs/classic_control/mountain_car.py and
// continuous_mountain_car.py (Moore, 1990).
class Environment {
  static title = "MountainCar";
  static goal = "Swing up to the flag.";
  static actions = ["Left", "Coast", "Right"];
  static stepsPerSecond = 30;

  constructor(parameters) {
    this.isContinuous = parameters.continuous;
    this.goalPosition = this.isContinuous ? 0.45 : 0.5;
    this.goalVelocity = parameters.goal_velocity || 0;
    this.state = [-0.5, 0];
  }

  reset(random) {
    this.state = [-0.6 + 0.2 * random(), 0];
  }

  step(action) {
    let [position, velocity] = this.state;
    if (this.isContinuous) {
      const force = Math.max(-1, Math.min(1, action[0]));
      velocity += force * 0.0015 - 0.0025 * Math.cos(3 * position);
    } else {
      velocity += (action - 1) * 0.001 - 0.0025 * Math.cos(3 * position);
    }
    velocity = Math.max(-0.07, Math.min(0.07, velocity));
    position = Math.max(-1.2, Math.min(0.6, position + velocity));
    if (position === -1.2 && velocity < 0) velocity = 0;
    const terminated = position >= this.goalPosition && velocity >= this.goalVelocity;
    this.state = [position, velocity];
    if (!this.isContinuous) return { reward: -1, terminated };
    this.state = this.state.map(Math.fround); // Gymnasium keeps this state as float32
    return { reward: (terminated ? 100 : 0) - action[0] ** 2 * 0.1, terminated };
  }

  observe() {
    return this.state;
  }

  push(direction) {
    this.state[1] = Math.max(-0.07, Math.min(0.07, this.state[1] + 0.02 * direction));
  }

  choose(direction) {
    return this.isContinuous ? [direction] : direction + 1;
  }

  draw(pen, width, height, colors) {
    const place = (x) => [((x + 1.2) / 1.8) * width, height * (0.86 - 0.62 * (0.5 + 0.5 * Math.sin(3 * x)))];
    pen.beginPath();
    pen.moveTo(0, height);
    for (let i = 0; i <= 120; i++) pen.lineTo(...place(-1.2 + (1.8 * i) / 120));
    pen.lineTo(width, height);
    pen.closePath();
    pen.fillStyle = colors.ground;
    pen.fill();
    const [flagX, flagY] = place(this.goalPosition);
    pen.strokeStyle = colors.text;
    pen.lineWidth = 2;
    drawLine(pen, flagX, flagY, flagX, flagY - 0.16 * height);
    pen.fillStyle = colors.second;
    pen.beginPath();
    pen.moveTo(flagX, flagY - 0.16 * height);
    pen.lineTo(flagX + 0.05 * width, flagY - 0.13 * height);
    pen.lineTo(flagX, flagY - 0.1 * height);
    pen.fill();
    const [x] = this.state, size = width * 0.04;
    const [carX, carY] = place(x), [nextX, nextY] = place(x + 0.01);
    pen.save();
    pen.translate(carX, carY);
    pen.rotate(Math.atan2(nextY - carY, nextX - carX));
    pen.fillStyle = colors.first;
    pen.beginPath();
    pen.roundRect(-size, -1.15 * size, 2 * size, 0.75 * size, 0.25 * size);
    pen.fill();
    pen.beginPath();
    pen.roundRect(-0.55 * size, -1.65 * size, 1.1 * size, 0.7 * size, 0.3 * size);
    pen.fill();
    pen.fillStyle = colors.text;
    for (const side of [-0.55, 0.55]) drawDisc(pen, side * size, -0.34 * size, 0.32 * size);
    pen.restore();
  }
}

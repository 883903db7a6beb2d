/** Draws curves over logarithmic axes, as SVG and as PNG. */
import { Resvg } from '@resvg/resvg-js';
import * as echarts from 'echarts';

export interface Curve {
  readonly name: string;
  readonly dashed: boolean;
  /** In the order of x. */
  readonly points: [x: number, y: number][];
}

export interface Plot {
  readonly title: string;
  /** What x is. */
  readonly axis: string;
  /** What y is in. */
  readonly unit: string;
  readonly curves: readonly Curve[];
}

const WIDTH = 900;
const HEIGHT = 520;
/** Pixels of a PNG for one of the drawing. */
const ZOOM = 2;
/** Apart for eyes that tell colours apart, and for those that don't: the pairs differ by their dashes. */
const COLOURS = ['#4269d0', '#e8710a', '#3ca951', '#9c3fd0', '#7a6a58'];
const FONT = 'Liberation Sans, Arial, Helvetica, sans-serif';

/** A curve and its dashed counterpart have the same colour. */
function colours(curves: readonly Curve[]): string[] {
  let solid = -1;
  return curves.map(({ dashed }) => {
    if (!dashed) solid++;
    return COLOURS[Math.max(solid, 0) % COLOURS.length]!;
  });
}

export function drawCurves({ title, axis, unit, curves }: Plot): {
  readonly svg: string;
  readonly png: Uint8Array;
} {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height: HEIGHT });
  const text = { fontFamily: FONT, color: '#333' };
  const shades = colours(curves);
  const thousands = (value: number) => value.toLocaleString('en');
  chart.setOption({
    backgroundColor: '#fff',
    animation: false,
    textStyle: text,
    title: { text: title, left: 24, top: 12, textStyle: { ...text, fontSize: 18 } },
    legend: { right: 24, top: 56, orient: 'vertical', textStyle: text, itemWidth: 36 },
    grid: { left: 80, right: 230, top: 70, bottom: 64 },
    xAxis: {
      type: 'log',
      name: axis,
      nameLocation: 'middle',
      nameGap: 34,
      axisLabel: { ...text, formatter: thousands },
      min: 'dataMin',
      max: 'dataMax',
    },
    yAxis: {
      type: 'log',
      name: unit,
      nameTextStyle: { ...text, align: 'left' },
      axisLabel: { ...text, formatter: thousands },
    },
    series: curves.map(({ name, dashed, points }, i) => ({
      type: 'line',
      name,
      data: points,
      symbolSize: 7,
      symbol: dashed ? 'emptyCircle' : 'circle',
      lineStyle: { width: 2.5, type: dashed ? 'dashed' : 'solid', color: shades[i] },
      itemStyle: { color: shades[i] },
    })),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  const picture = new Resvg(svg, { fitTo: { mode: 'zoom', value: ZOOM }, font: { loadSystemFonts: true } });
  return { svg, png: picture.render().asPng() };
}
